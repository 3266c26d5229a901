//! What a class takes that never ran: by its size, and by how its neighbours differ from what their sizes tell.
//!
//! A line through the logarithms of what is known, `ln µs = a + b ln tests + c ln bytes`, then what is left over, shrunk:
//! first of the Test task, then of the package, each towards the larger group, the more the fewer classes it has (ridge
//! regression: Hoerl and Kennard, Technometrics 12, 1970; shrinkage: Efron and Morris, "Stein's Estimation Rule and Its
//! Competitors", JASA 68, 1973; Bühlmann's credibility `n / (n + k)`). The line itself is shrunk towards one through recorded
//! suites, so that it is there with no history at all. Planned with is the quantile at 3/4, as for tests that ran: twice as long costs
//! less than half as long. docs/timings.md has the error that this leaves.

use std::collections::BTreeMap;
use testfleet_protocol::test::TaskPath;

/// The line of 1,023 classes of four recorded suites.
const PRIOR: [f64; 3] = [0.958, 0.569, 0.811];
/// What the quantile at 3/4 lies above the line there, in logarithms.
const PRIOR_UPPER: f64 = 1.0;
/// As many classes count as much as the prior.
const PRIOR_CLASSES: f64 = 5.0;
/// As many classes of a task or package count as much as the larger group.
const SHRINKAGE: f64 = 3.0;
/// What a class file has without a test, and for each, in bytes; for classes of unknown size.
const TYPICAL_BYTES: f64 = 1_500.0;
const TYPICAL_BYTES_PER_TEST: f64 = 660.0;
/// Quicker classes, in microseconds, are all equally quick: what they take is mostly chance.
pub(super) const LEAST_US: f64 = 500.0;
/// A year.
const MOST_LN_US: f64 = 31.0;

/// What is known of a class before it runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Size {
    pub(super) tests: usize,
    pub(super) bytes: u64,
}

impl Size {
    fn features(self) -> [f64; 3] {
        let tests = self.tests.max(1) as f64;
        let bytes = if self.bytes == 0 { TYPICAL_BYTES + TYPICAL_BYTES_PER_TEST * tests } else { self.bytes as f64 };
        [1.0, tests.ln(), bytes.max(200.0).ln()]
    }
}

/// A class that ran: its size, and what its tests took in microseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) task: &'a TaskPath,
    pub(super) class: &'a str,
    pub(super) size: Size,
    pub(super) micros: f64,
}

/// Guesses by all that ran.
pub(super) struct Guesses<'a> {
    line: [f64; 3],
    tasks: BTreeMap<&'a TaskPath, f64>,
    packages: BTreeMap<(&'a TaskPath, &'a str), f64>,
    upper: f64,
}

impl<'a> Guesses<'a> {
    /// Equal classes give equal guesses, in whatever order they come.
    pub(super) fn new(mut known: Vec<Known<'a>>) -> Self {
        known.sort_by(|a, b| (a.task, a.class).cmp(&(b.task, b.class)));
        let line = fit(&known);
        let left = |class: &Known<'_>| class.micros.max(LEAST_US).ln() - at(line, class.size);
        let mut tasks: BTreeMap<&TaskPath, Shrunk> = BTreeMap::new();
        known.iter().for_each(|class| tasks.entry(class.task).or_default().add(left(class)));
        let tasks: BTreeMap<_, _> = tasks.into_iter().map(|(task, left)| (task, left.value())).collect();
        let mut packages: BTreeMap<(&TaskPath, &str), Shrunk> = BTreeMap::new();
        for class in &known {
            let key = (class.task, package(class.class));
            packages.entry(key).or_default().add(left(class) - tasks[class.task]);
        }
        let packages = packages.into_iter().map(|(key, left)| (key, left.value())).collect();
        let mut guesses = Self { line, tasks, packages, upper: 0.0 };
        let mut above: Vec<f64> = known
            .iter()
            .map(|class| class.micros.max(LEAST_US).ln() - guesses.middle(class.task, class.class, class.size))
            .collect();
        above.sort_by(f64::total_cmp);
        let weight = above.len() as f64;
        let upper = above.get(above.len() * 3 / 4).copied().unwrap_or_default().max(0.0);
        guesses.upper = (weight * upper + PRIOR_CLASSES * PRIOR_UPPER) / (weight + PRIOR_CLASSES);
        guesses
    }

    /// Microseconds of all tests of a class together.
    pub(super) fn of(&self, task: &TaskPath, class: &str, size: Size) -> f64 {
        (self.middle(task, class, size) + self.upper).clamp(0.0, MOST_LN_US).exp()
    }

    /// What half of such classes take longer than, as a logarithm.
    fn middle(&self, task: &TaskPath, class: &str, size: Size) -> f64 {
        let of_task = self.tasks.get(task).copied().unwrap_or_default();
        let of_package = self.packages.get(&(task, package(class))).copied().unwrap_or_default();
        at(self.line, size) + of_task + of_package
    }
}

/// A mean that is the nearer to 0 the fewer values it is of.
#[derive(Default)]
struct Shrunk {
    sum: f64,
    count: f64,
}

impl Shrunk {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1.0;
    }

    fn value(&self) -> f64 {
        self.sum / (self.count + SHRINKAGE)
    }
}

fn at(line: [f64; 3], size: Size) -> f64 {
    line.iter().zip(size.features()).map(|(slope, feature)| slope * feature).sum()
}

/// Least squares, with a penalty on what differs from [`PRIOR`].
fn fit(known: &[Known<'_>]) -> [f64; 3] {
    // The normal equations for the difference to the prior.
    let mut matrix = [[0.0; 4]; 3];
    for class in known {
        let features = class.size.features();
        let left = class.micros.max(LEAST_US).ln() - at(PRIOR, class.size);
        for row in 0..3 {
            for column in 0..3 {
                matrix[row][column] += features[row] * features[column];
            }
            matrix[row][3] += features[row] * left;
        }
    }
    // The level is soon known, the slopes are not: bytes and tests grow together.
    for (row, penalty) in [1.0, PRIOR_CLASSES, PRIOR_CLASSES].into_iter().enumerate() {
        matrix[row][row] += penalty;
    }
    // Positive definite by the penalty: elimination needs no exchange of rows.
    for pivot in 0..3 {
        for row in pivot + 1..3 {
            let factor = matrix[row][pivot] / matrix[pivot][pivot];
            for column in pivot..4 {
                matrix[row][column] -= factor * matrix[pivot][column];
            }
        }
    }
    let mut line = [0.0; 3];
    for row in (0..3).rev() {
        let rest: f64 = (row + 1..3).map(|column| matrix[row][column] * line[column]).sum();
        line[row] = (matrix[row][3] - rest) / matrix[row][row];
    }
    std::array::from_fn(|at| line[at] + PRIOR[at])
}

fn package(class: &str) -> &str {
    class.rsplit_once('.').map_or("", |(package, _)| package)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn size(tests: usize, bytes: u64) -> Size {
        Size { tests, bytes }
    }

    #[test]
    fn without_history_size_and_count_tell() {
        let task = TaskPath(":test".into());
        let guesses = Guesses::new(vec![]);
        let of = |tests, bytes| guesses.of(&task, "a.B", size(tests, bytes)) as u64;
        assert!(of(1, 1_500) < of(10, 1_500) && of(10, 1_500) < of(10, 15_000));
        assert!((1_000..20_000).contains(&of(1, 1_500)), "{}", of(1, 1_500));
        assert_eq!(of(2, 0), of(2, 2_820));
    }

    #[test]
    fn neighbours_count_more_the_more_there_are() {
        let task = TaskPath(":test".into());
        let names: Vec<String> = (0..20).map(|number| format!("slow.C{number}")).collect();
        let guess = |count: usize, class: &str| {
            let slow = names[..count].iter().map(|class| Known {
                task: &task,
                class,
                size: size(5, 5_000),
                micros: 10_000_000.0,
            });
            let quick =
                (0..count).map(|_| Known { task: &task, class: "quick.C", size: size(5, 5_000), micros: 1_000.0 });
            Guesses::new(slow.chain(quick).collect()).of(&task, class, size(5, 5_000))
        };
        assert!(guess(20, "slow.New") > 8.0 * guess(20, "quick.New"));
        assert!(guess(20, "slow.New") > guess(2, "slow.New") && guess(2, "slow.New") > guess(0, "slow.New"));
        let elsewhere = guess(20, "other.New");
        assert!(guess(20, "quick.New") < elsewhere && elsewhere < guess(20, "slow.New"));
    }

    proptest! {
        #[test]
        fn every_guess_is_a_number_between_nothing_and_a_year(
            known in prop::collection::vec((0..3usize, any::<u32>(), any::<u64>(), any::<u64>()), 0..20),
            asked in (any::<u32>(), any::<u64>()),
        ) {
            let tasks = [":a", ":b", ":c"].map(|path| TaskPath(path.into()));
            let known: Vec<Known<'_>> = known
                .iter()
                .map(|(task, tests, bytes, micros)| Known {
                    task: &tasks[*task],
                    class: "a.B",
                    size: size(*tests as usize, *bytes),
                    micros: *micros as f64,
                })
                .collect();
            let guess = Guesses::new(known).of(&tasks[0], "a.C", size(asked.0 as usize, asked.1));
            prop_assert!((1.0..=3.2e13).contains(&guess), "{guess}");
        }

        #[test]
        fn the_order_of_classes_does_not_matter(
            known in prop::collection::btree_map("[a-c]\\.[A-Z]", (1..30usize, 300..90_000u64, 1..10_000_000u64), 1..20),
        ) {
            let task = TaskPath(":test".into());
            let all = |reverse: bool| {
                let mut all: Vec<Known<'_>> = known
                    .iter()
                    .map(|(class, (tests, bytes, micros))| Known {
                        task: &task, class, size: size(*tests, *bytes), micros: *micros as f64,
                    })
                    .collect();
                if reverse {
                    all.reverse();
                }
                Guesses::new(all).of(&task, "a.New", size(3, 3_000))
            };
            prop_assert_eq!(all(false).to_bits(), all(true).to_bits());
        }
    }
}
