//! Bounds of what can be set.

/// A setting is out of its bounds.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("{field} is {value}, and has to be from {least} to {most}")]
pub struct BadSetting {
    /// The setting's name.
    pub field: &'static str,
    /// What it is.
    pub value: f64,
    /// The least it may be.
    pub least: f64,
    /// The most it may be.
    pub most: f64,
}

/// Checks that a setting is within its bounds.
pub(crate) fn within(
    field: &'static str,
    value: impl Into<f64>,
    least: impl Into<f64>,
    most: impl Into<f64>,
) -> Result<(), BadSetting> {
    let (value, least, most) = (value.into(), least.into(), most.into());
    // Written so that a value that is no number is refused as well.
    if value >= least && value <= most { Ok(()) } else { Err(BadSetting { field, value, least, most }) }
}
