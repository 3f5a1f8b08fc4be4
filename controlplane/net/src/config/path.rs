//! The way from the whole file to one field, put into words only when something is said about the field.

use std::borrow::Cow;
use std::fmt;
use std::rc::Rc;

/// A field by the steps that lead to it. Prints like `ports[0].mtu`. The steps before the last are shared, so that walking through
/// a hundred thousand items writes no names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FieldPath {
    parent: Option<Rc<FieldPath>>,
    step: Step,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// The whole file.
    Root,
    Field(Cow<'static, str>),
    Item(usize),
}

impl FieldPath {
    /// The whole file.
    pub(super) const ROOT: Self = Self { parent: None, step: Step::Root };

    /// The field `name` of the section at `parent`.
    pub(super) fn member(parent: &Rc<Self>, name: impl Into<Cow<'static, str>>) -> Self {
        Self { parent: Some(Rc::clone(parent)), step: Step::Field(name.into()) }
    }

    /// An item of the list at `parent`, counted from zero.
    pub(super) fn item(parent: &Rc<Self>, index: usize) -> Self {
        Self { parent: Some(Rc::clone(parent)), step: Step::Item(index) }
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = &self.parent {
            parent.fmt(f)?;
        }
        match &self.step {
            Step::Root => Ok(()),
            Step::Item(index) => write!(f, "[{index}]"),
            Step::Field(name) => {
                let is_nested = self.parent.as_ref().is_some_and(|parent| parent.step != Step::Root);
                write!(f, "{}{name}", if is_nested { "." } else { "" })
            }
        }
    }
}
