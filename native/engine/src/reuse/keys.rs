//! The key of a test class: a hash over everything that its tests can notice. Equal keys, equal outcome.

use super::contents::{Container, Content, Contents};
use super::graph::{self, Node, Reach};
use super::names::NameId;
use super::profile::{self, Fields, Profile};
use crate::discover::{DiscoveredTask, Discovery, FoundBy, TestClass};
use crate::hash;
use rayon::prelude::*;
use std::collections::{BTreeMap, HashMap};
use testfleet_protocol::Result;
use testfleet_protocol::request::{Reuse, RunRequest, TestTask};
use testfleet_protocol::test::TaskPath;

/// The keys of all test classes of a build.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys {
    by_class: BTreeMap<TaskPath, BTreeMap<String, ClassKey>>,
}

/// The key of one test class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassKey {
    /// Lower-case hex.
    pub key: String,
    /// Where nothing is reused, the key that counts by the whole classpath: what then runs is recorded for either choice.
    pub also: Option<String>,
    /// Why it counts by its whole classpath; `None` when it counts by what it reaches.
    pub whole_classpath: Option<String>,
}

impl Keys {
    /// Reads all that the tests of a build can notice. Nothing is kept from one call to the next but the digests of large
    /// jars.
    ///
    /// # Errors
    /// `Io` when a file can't be read, `BrokenClassFile` for a damaged jar.
    pub fn of(request: &RunRequest, discovery: &Discovery) -> Result<Self> {
        let known = crate::content::Contents::open(&request.state_dir);
        let contents = Contents::read(request, &known)?;
        let common = profile::common(request, &known)?;
        let tasks: HashMap<&TaskPath, &TestTask> = request.tasks.iter().map(|task| (&task.path, task)).collect();
        let by_class = discovery
            .tasks
            .par_iter()
            .filter_map(|found| Some((*tasks.get(&found.task)?, found)))
            // Coverage is measured by running: a test that is not run would be missing in it. And what can't be compared may
            // have changed.
            .filter(|(task, _)| task.jacoco_file.is_none() && task.properties_without_text.is_empty())
            .map(|(task, found)| {
                let profile = Profile::of(task, request, &contents, &common, &known)?;
                let classpath = ClasspathReach::of(task, &contents, &profile);
                Ok((task.path.clone(), classpath.keys(found, request.options.reuse, &profile.fields)))
            })
            .collect::<Result<_>>()?;
        known.save();
        Ok(Self { by_class })
    }

    /// The key of a test class.
    pub fn of_class(&self, task: &TaskPath, class: &str) -> Option<&ClassKey> {
        self.by_class.get(task)?.get(class)
    }

    /// Task, class and key of each test class, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&TaskPath, &str, &ClassKey)> {
        self.by_class
            .iter()
            .flat_map(|(task, classes)| classes.iter().map(move |(class, key)| (task, class.as_str(), key)))
    }
}

/// What is reached on one classpath.
struct ClasspathReach<'a> {
    contents: &'a Contents,
    /// Of each class that is loaded under its name.
    place: HashMap<NameId, usize>,
    classes: Vec<(NameId, Option<&'a str>)>,
    reaches: Vec<Reach>,
    /// What every test reaches.
    everywhere: Reach,
    /// Hash of all that the build makes.
    whole: Fields,
    unread: Option<&'a str>,
}

impl<'a> ClasspathReach<'a> {
    fn of(task: &TestTask, contents: &'a Contents, profile: &Profile) -> Self {
        let own: Vec<&Container> = profile::classpath(task)
            .into_iter()
            .filter_map(|path| match contents.entries.get(path)? {
                Content::Own(own) => Some(own),
                Content::Foreign(_) => None,
            })
            .collect();
        let mut place = HashMap::new();
        let mut entries = Vec::new();
        for (id, entry) in own.iter().flat_map(|container| &container.classes) {
            // The first of a name is the one that is loaded.
            place.entry(*id).or_insert_with(|| {
                entries.push((*id, entry));
                entries.len() - 1
            });
        }
        let has_objects = own.iter().any(|container| container.has_objects);
        let (bundles, roots) = (entries.len(), entries.len() + 1);
        let mut nodes: Vec<Node> = entries
            .iter()
            .map(|(_, entry)| {
                let facts = &entry.facts;
                let mut leads_to: Vec<usize> = facts.mentions.iter().filter_map(|id| place.get(id).copied()).collect();
                leads_to.extend(facts.asks_for_bundles.then_some(bundles));
                let is_open = facts.unknown.is_some() || facts.reads_objects && has_objects;
                Node { hash: entry.hash, leads_to, is_open }
            })
            .collect();
        let bundle_classes = entries.iter().enumerate().filter(|(_, (_, entry))| entry.facts.is_bundle);
        nodes.push(Node { leads_to: bundle_classes.map(|(node, _)| node).collect(), ..Node::default() });
        let named = profile.named.iter().filter_map(|id| place.get(id).copied());
        nodes.push(Node { leads_to: named.collect(), ..Node::default() });
        let mut whole = Fields::new();
        own.iter().filter_map(|container| container.all.as_ref()).for_each(|all| whole.add("files", all));
        let reaches = graph::reaches(&nodes);
        Self {
            contents,
            place,
            classes: entries
                .iter()
                .map(|(id, entry)| {
                    let objects = "reads serialized objects, and a resource holds some";
                    let of_objects = (entry.facts.reads_objects && has_objects).then_some(objects);
                    (*id, entry.facts.unknown.as_deref().or(of_objects))
                })
                .collect(),
            everywhere: reaches[roots],
            reaches,
            whole,
            unread: own.iter().find_map(|container| container.unread.as_deref()),
        }
    }

    fn keys(&self, found: &DiscoveredTask, reuse: Reuse, profile: &Fields) -> BTreeMap<String, ClassKey> {
        let key = |class: &TestClass| (class.class.clone(), self.key(class, reuse, profile));
        found.classes.iter().map(key).collect()
    }

    fn key(&self, class: &TestClass, reuse: Reuse, profile: &Fields) -> ClassKey {
        let mut fields = profile.clone();
        fields.add("class", &class.class);
        let reach = self.contents.names.id(&class.class.replace('.', "/")).and_then(|id| self.place.get(&id));
        let reach = reach.map(|&node| self.reaches[node]);
        let whole_classpath = self.unknown(class, reuse, reach);
        let mut whole = fields.clone();
        whole.add("whole classpath", self.whole.clone().hash());
        let whole = hash::hex(&whole.hash());
        match (reach, &whole_classpath) {
            (Some(reach), None) => {
                fields.add("reached", reach.hash);
                fields.add("reached by all", self.everywhere.hash);
                ClassKey {
                    key: hash::hex(&fields.hash()),
                    also: (reuse == Reuse::Off).then_some(whole),
                    whole_classpath,
                }
            }
            _ => ClassKey { key: whole, also: None, whole_classpath },
        }
    }

    /// Why what a class reaches does not tell all.
    fn unknown(&self, class: &TestClass, reuse: Reuse, reach: Option<Reach>) -> Option<String> {
        if reuse == Reuse::Classpath {
            return Some("reuse = 'classpath'".to_owned());
        }
        if class.asked || class.framework == FoundBy::Engine {
            return Some("its engine alone knows its tests".to_owned());
        }
        let Some(reach) = reach else { return Some("it is in no class directory".to_owned()) };
        if let Some(resource) = self.unread {
            let megabytes = super::contents::MAX_SEARCHED >> 20;
            return Some(format!("the resource {resource} is over {megabytes} MB and may name classes"));
        }
        let open = reach.open.or(self.everywhere.open)?;
        let (id, why) = self.classes.get(open)?;
        let name = self.contents.names.name(*id).replace('/', ".");
        Some(format!("{name} {}", why.unwrap_or("is not known")))
    }
}
