//! `photongate top`: a running filter, live on a terminal.
//!
//! [`app::App`] holds all that is shown, and changes by events only: it neither reads a clock nor a socket. [`feed`] asks the filter,
//! [`view`] draws.

mod app;
mod feed;
mod peers;
mod rates;
mod timeline;
mod view;

use std::io::{self, IsTerminal};

use clap::Args;
use crossterm::event::{Event, EventStream, KeyEventKind};
use futures_util::StreamExt;
use photongate_agent::client::Client;
use ratatui::DefaultTerminal;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;
use crate::management::Reach;
use app::App;
use feed::Feed;
use view::Palette;

/// Watch a running filter: traffic, workers, peers and their keys, live
///
/// Peers whose keys cannot be fetched come first, then those with the most traffic. When the filter goes away, it says so and waits for it
/// to come back. Needs 80 columns and 24 lines; with NO_COLOR set it does without colours.
#[derive(Args)]
#[command(after_long_help = "\
Examples:

    sudo photongate top
    photongate top --url http://127.0.0.1:8479 --token-file /var/lib/photongate/read.token

Keys: arrows, PageUp and PageDown move; Tab goes to the next pane; s sorts peers another way; / searches them, Esc ends that; ? shows
help; q ends. For scripts there is `photongate status --json`.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    reach: Reach,
}

/// Shows the filter until the operator ends it.
///
/// # Errors
/// There is no terminal, the filter cannot be asked at the beginning, or the terminal is gone.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    if !io::stdout().is_terminal() {
        let message = "photongate: top needs a terminal; for scripts there is `photongate status --json`";
        return Err(Failure::bad_input(message));
    }
    let filter = arguments.reach.filter()?;
    // Whoever mistypes a socket should read so on a terminal in order.
    filter.look(|client| async move { client.status().await })?;
    let ended = filter.run(|client| async move {
        let _restored = Restored;
        let mut terminal = ratatui::try_init()?;
        watch(&mut terminal, &client).await
    });
    ended.map_err(|error| Failure::at_run_time(format!("photongate: the terminal cannot be used: {error}")))
}

/// Leads events to the state, and the state to the terminal, until somebody wants to end.
async fn watch(terminal: &mut DefaultTerminal, client: &Client) -> io::Result<()> {
    let palette = Palette::of_environment();
    let mut app = App::new(client.server().to_string());
    let mut feed = Feed::start(client, app.wanted());
    let mut keys = EventStream::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    while !app.has_ended() {
        terminal.draw(|frame| view::draw(frame, &mut app, &palette))?;
        tokio::select! {
            // Keys before news: a filter with much to say must not keep the operator from leaving.
            biased;
            () = any(&mut terminate, &mut interrupt, &mut hangup) => return Ok(()),
            event = keys.next() => match event {
                Some(Ok(Event::Key(key))) if key.kind != KeyEventKind::Release => app.on_key(key),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => return Ok(()),
            },
            news = feed.next() => app.on_news(news),
        }
        feed.want(&app.wanted());
    }
    Ok(())
}

/// Waits for one of the signals that ask to end.
async fn any(terminate: &mut Signal, interrupt: &mut Signal, hangup: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        _ = hangup.recv() => {}
    }
}

/// Gives the terminal back when it is dropped, whatever happened. A panic does the same before it is reported.
struct Restored;

impl Drop for Restored {
    fn drop(&mut self) {
        ratatui::restore();
    }
}
