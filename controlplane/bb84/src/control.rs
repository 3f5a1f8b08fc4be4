//! Changing the channel while the link runs.

use tokio::sync::watch;

use crate::channel::ChannelSettings;
use crate::setting::BadSetting;

/// A handle on a link's channel. Settings made at either end take effect at both, with the next train; when the ends begin, the
/// lead's are in force.
#[derive(Clone, Debug)]
pub struct Control(watch::Sender<State>);

#[derive(Clone, Copy, Debug)]
struct State {
    settings: ChannelSettings,
    /// Counts the changes made at this end.
    revision: u64,
}

impl Control {
    /// For a channel that begins with these settings.
    ///
    /// # Errors
    /// If a value is out of its bounds.
    pub fn new(settings: ChannelSettings) -> Result<Self, BadSetting> {
        settings.check()?;
        Ok(Self(watch::Sender::new(State { settings, revision: 0 })))
    }

    /// The settings in force, as far as this end knows.
    pub fn settings(&self) -> ChannelSettings {
        self.0.borrow().settings
    }

    /// Changes the settings.
    ///
    /// # Errors
    /// If a value is out of its bounds. Nothing changes then.
    pub fn set(&self, settings: ChannelSettings) -> Result<(), BadSetting> {
        settings.check()?;
        self.0.send_modify(|state| *state = State { settings, revision: state.revision + 1 });
        Ok(())
    }

    /// Takes over what the other end says.
    pub(crate) fn follow(&self, settings: ChannelSettings) {
        self.0.send_modify(|state| state.settings = settings);
    }

    /// The settings, and how often they were changed at this end.
    pub(crate) fn revision(&self) -> (u64, ChannelSettings) {
        let state = self.0.borrow();
        (state.revision, state.settings)
    }
}
