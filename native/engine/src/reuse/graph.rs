//! Hashes over everything that can be reached in a graph, in one pass.
//!
//! Nodes that reach each other share a hash: that of their own hashes and of the hashes of the groups that they lead to. So
//! the hash of a node changes when that of any node that it reaches does, and takes no longer for a thousand tests than for one.
//! Groups are found with R. Tarjan, "Depth-First Search and Linear Graph Algorithms" (1972), without recursion: chains of
//! classes may be longer than a stack is deep.

use super::contents::Hash;
use sha2::{Digest, Sha256};

/// A node: what it is, where it leads, and whether that is all.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    pub(super) hash: Hash,
    pub(super) leads_to: Vec<usize>,
    /// It may lead anywhere else, too.
    pub(super) is_open: bool,
}

/// What can be reached from a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reach {
    /// Of all that is reached.
    pub(super) hash: Hash,
    /// The first node found that may lead anywhere; then `hash` does not tell all.
    pub(super) open: Option<usize>,
}

const UNSEEN: usize = usize::MAX;

struct Search<'a> {
    nodes: &'a [Node],
    /// When each node was first seen.
    seen: Vec<usize>,
    /// The earliest node on `path` that each is known to reach.
    low: Vec<usize>,
    /// Nodes whose group is not complete.
    path: Vec<usize>,
    count: usize,
    /// Of each node whose group is complete.
    group: Vec<Option<usize>>,
    reaches: Vec<Reach>,
}

/// What each node reaches, itself included.
pub(super) fn reaches(nodes: &[Node]) -> Vec<Reach> {
    let mut search = Search {
        nodes,
        seen: vec![UNSEEN; nodes.len()],
        low: vec![0; nodes.len()],
        path: Vec::new(),
        count: 0,
        group: vec![None; nodes.len()],
        reaches: Vec::new(),
    };
    for node in 0..nodes.len() {
        if search.seen[node] == UNSEEN {
            search.visit(node);
        }
    }
    search.group.iter().map(|group| search.reaches[group.unwrap_or(0)]).collect()
}

impl Search<'_> {
    fn visit(&mut self, first: usize) {
        // Each node with how many of its ways were taken.
        let mut calls = vec![(first, 0)];
        self.enter(first);
        while let Some((node, taken)) = calls.last_mut() {
            let node = *node;
            match self.nodes[node].leads_to.get(*taken) {
                Some(&next) => {
                    *taken += 1;
                    if self.seen[next] == UNSEEN {
                        self.enter(next);
                        calls.push((next, 0));
                    } else if self.group[next].is_none() {
                        self.low[node] = self.low[node].min(self.seen[next]);
                    }
                }
                None => {
                    calls.pop();
                    if let Some((caller, _)) = calls.last() {
                        self.low[*caller] = self.low[*caller].min(self.low[node]);
                    }
                    if self.low[node] == self.seen[node] {
                        self.close(node);
                    }
                }
            }
        }
    }

    fn enter(&mut self, node: usize) {
        self.seen[node] = self.count;
        self.low[node] = self.count;
        self.count += 1;
        self.path.push(node);
    }

    /// `node` and what was seen after it make a group; all that they lead to elsewhere is in groups already.
    fn close(&mut self, node: usize) {
        let start = self.path.iter().rposition(|known| *known == node).unwrap_or(0);
        let members = self.path.split_off(start);
        let number = self.reaches.len();
        members.iter().for_each(|&member| self.group[member] = Some(number));
        let mut own: Vec<Hash> = members.iter().map(|&member| self.nodes[member].hash).collect();
        own.sort_unstable();
        let mut groups: Vec<usize> = members
            .iter()
            .flat_map(|&member| &self.nodes[member].leads_to)
            .filter_map(|&next| self.group[next])
            .filter(|group| *group != number)
            .collect();
        groups.sort_unstable();
        groups.dedup();
        let mut beyond: Vec<Hash> = groups.iter().map(|group| self.reaches[*group].hash).collect();
        beyond.sort_unstable();
        let mut hasher = Sha256::new();
        hasher.update((own.len() as u64).to_be_bytes());
        own.iter().chain(&beyond).for_each(|hash| hasher.update(hash));
        let open = members.iter().copied().filter(|member| self.nodes[*member].is_open).min();
        let open_beyond = || groups.iter().filter_map(|group| self.reaches[*group].open).min();
        let open = open.or_else(open_beyond);
        self.reaches.push(Reach { hash: hasher.finalize().into(), open });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn node(number: usize, leads_to: Vec<usize>) -> Node {
        Node { hash: Sha256::digest(number.to_be_bytes()).into(), leads_to, is_open: false }
    }

    /// All nodes that one reaches, found the plain way.
    fn reached(nodes: &[Node], from: usize) -> BTreeSet<usize> {
        let mut found = BTreeSet::from([from]);
        let mut todo = vec![from];
        while let Some(node) = todo.pop() {
            todo.extend(nodes[node].leads_to.iter().copied().filter(|next| found.insert(*next)));
        }
        found
    }

    fn graphs() -> impl Strategy<Value = Vec<Node>> {
        (1..12_usize).prop_flat_map(|count| {
            prop::collection::vec(prop::collection::vec(0..count, 0..4), count)
                .prop_map(|ways| ways.into_iter().enumerate().map(|(number, ways)| node(number, ways)).collect())
        })
    }

    proptest! {
        #[test]
        fn a_change_shows_in_exactly_the_nodes_that_reach_it(nodes in graphs(), pick in any::<prop::sample::Index>()) {
            let changed = pick.index(nodes.len());
            let before = reaches(&nodes);
            let mut other = nodes.clone();
            other[changed].hash = [7; 32];
            let after = reaches(&other);
            for from in 0..nodes.len() {
                let is_reached = reached(&nodes, from).contains(&changed);
                prop_assert_eq!(before[from].hash != after[from].hash, is_reached, "node {}", from);
            }
        }

        #[test]
        fn an_open_node_opens_exactly_the_nodes_that_reach_it(nodes in graphs(), pick in any::<prop::sample::Index>()) {
            let opened = pick.index(nodes.len());
            let mut nodes = nodes;
            nodes[opened].is_open = true;
            for (from, reach) in reaches(&nodes).iter().enumerate() {
                let is_reached = reached(&nodes, from).contains(&opened);
                prop_assert_eq!(reach.open, is_reached.then_some(opened));
            }
        }

        #[test]
        fn the_order_of_nodes_and_ways_makes_no_difference(nodes in graphs(), seed in any::<u64>()) {
            // The nodes the other way round, and each with its ways turned.
            let last = nodes.len() - 1;
            let mut turned: Vec<Node> = nodes.iter().rev().cloned().collect();
            for node in &mut turned {
                node.leads_to.iter_mut().for_each(|next| *next = last - *next);
                let ways = node.leads_to.len();
                node.leads_to.rotate_left(seed as usize % ways.max(1));
            }
            let (straight, turned) = (reaches(&nodes), reaches(&turned));
            for from in 0..nodes.len() {
                prop_assert_eq!(straight[from].hash, turned[last - from].hash);
            }
        }
    }

    #[test]
    fn a_long_chain_needs_no_stack() {
        let count = 300_000;
        let mut nodes: Vec<Node> = (0..count).map(|number| node(number, vec![(number + 1).min(count - 1)])).collect();
        let before = reaches(&nodes)[0];
        nodes[count - 1].hash = [1; 32];
        assert_ne!(reaches(&nodes)[0], before);
        // A circle of them is one group.
        nodes[count - 1].leads_to = vec![0];
        let circle = reaches(&nodes);
        assert_eq!(circle[0], circle[count / 2]);
    }
}
