//! Which fields readers have asked for: what a reference must describe.

use std::collections::BTreeSet;

/// The fields asked for so far, as a tree in which all items of a list are one. Asking again costs a short search, so that it can
/// be kept for every file.
pub(super) struct KnownFields(Vec<Node>);

/// A place in the tree.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known(usize);

struct Node {
    /// The field's name, or [`ITEM`].
    name: &'static str,
    parent: Known,
    children: Vec<Known>,
}

impl Known {
    /// The whole file.
    pub(super) const ROOT: Self = Self(0);
}

impl KnownFields {
    /// The field `name` of the section at `parent`.
    pub(super) fn member(&mut self, parent: Known, name: &'static str) -> Known {
        let children = &self.0[parent.0].children;
        if let Some(known) = children.iter().copied().find(|child| self.0[child.0].name == name) {
            return known;
        }
        let child = Known(self.0.len());
        self.0.push(Node { name, parent, children: Vec::new() });
        self.0[parent.0].children.push(child);
        child
    }

    /// The items of the list at `parent`.
    pub(super) fn items(&mut self, parent: Known) -> Known {
        self.member(parent, ITEM)
    }

    /// All fields, like `ports[].mtu`.
    pub(super) fn names(&self) -> BTreeSet<String> {
        let mut names: Vec<String> = vec![String::new()];
        // A node comes after its parent.
        for node in &self.0[1..] {
            let parent = &names[node.parent.0];
            let dot = if parent.is_empty() || node.name == ITEM { "" } else { "." };
            names.push(format!("{parent}{dot}{}", node.name));
        }
        names.into_iter().skip(1).filter(|name| !name.ends_with(ITEM)).collect()
    }
}

impl Default for KnownFields {
    fn default() -> Self {
        Self(vec![Node { name: "", parent: Known::ROOT, children: Vec::new() }])
    }
}

/// No field is called like this.
const ITEM: &str = "[]";
