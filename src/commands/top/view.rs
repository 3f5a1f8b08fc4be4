//! How it looks: from top to bottom the filter, its traffic, workers beside drop reasons, and peers.
//!
//! Nothing is told by colour alone, and the colours are those that most colour-blind people can tell apart (Okabe and Ito).

mod machine;
mod peers;
#[cfg(test)]
mod tests;
mod traffic;

use std::env;
use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Clear, Paragraph, Wrap};

use super::app::App;
use crate::numbers::{grouped, span};

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, app: &mut App, palette: &Palette) {
    let area = frame.area();
    if area.width < MIN_WIDTH || area.height < MIN_HEIGHT {
        let words =
            format!("{MIN_WIDTH} columns and {MIN_HEIGHT} lines are needed; here are {}x{}", area.width, area.height);
        frame.render_widget(Paragraph::new(words).wrap(Wrap { trim: true }), area);
        return;
    }
    // Peers get what is left: on a tall terminal the most.
    let middle = (area.height / 4).clamp(6, 14);
    let [head, traffic, machine, peers, foot] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Length(traffic::HEIGHT),
        Constraint::Length(middle),
        Constraint::Min(0),
        Constraint::Length(1),
    ])
    .areas(area);
    draw_head(frame, head, app, palette);
    traffic::draw(frame, traffic, app, palette);
    let [workers, reasons] =
        Layout::horizontal([Constraint::Percentage(50), Constraint::Percentage(50)]).areas(machine);
    machine::draw_workers(frame, workers, app, palette);
    machine::draw_reasons(frame, reasons, app, palette);
    peers::draw(frame, peers, app, palette);
    draw_foot(frame, foot, app, palette);
    if app.shows_help {
        draw_help(frame, area);
    }
}

/// What colours mean.
pub(super) struct Palette {
    good: Style,
    warning: Style,
    bad: Style,
    faint: Style,
}

impl Palette {
    /// Colours, unless the environment says to do without (<https://no-color.org>).
    pub(super) fn of_environment() -> Self {
        if env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) { Self::plain() } else { Self::coloured() }
    }

    fn coloured() -> Self {
        Self {
            good: Style::new().fg(Color::Indexed(39)),
            warning: Style::new().fg(Color::Indexed(214)),
            bad: Style::new().fg(Color::Indexed(202)).add_modifier(Modifier::BOLD),
            faint: Style::new().fg(Color::Indexed(245)),
        }
    }

    fn plain() -> Self {
        let bold = Style::new().add_modifier(Modifier::BOLD);
        Self { good: Style::new(), warning: bold, bad: bold.add_modifier(Modifier::REVERSED), faint: Style::new() }
    }
}

/// Which filter, how it is, and whether it is heard.
fn draw_head(frame: &mut Frame<'_>, area: Rect, app: &App, palette: &Palette) {
    let mut words = Vec::new();
    if let Some(status) = &app.status {
        words.push(Span::raw(format!("photongate {} AS {}  ", status.version, status.isd_as)));
    }
    let (is_ready, generation) = match (&app.sample, &app.status) {
        (Some(sample), _) => (Some(sample.ready), Some(sample.as_list_generation)),
        (None, Some(status)) => (Some(status.ready), Some(status.as_list.generation)),
        (None, None) => (None, None),
    };
    words.push(match is_ready {
        Some(true) => Span::styled("✔ ready", palette.good),
        Some(false) => Span::styled("✖ NOT READY", palette.bad),
        None => Span::raw("connecting …"),
    });
    if let Some(generation) = generation {
        words.push(Span::raw(format!("  AS list {generation}")));
    }
    if let Some(status) = &app.status {
        words.push(Span::raw(format!("  up {}", span(Duration::from_secs(status.uptime_s)))));
    }
    let lost = app.sample.as_ref().map_or(0, |sample| sample.lost);
    if lost > 0 {
        words.push(Span::styled(format!("  lost {}", grouped(lost)), palette.warning));
    }
    let second = match (&app.lost, &app.status) {
        (Some(why), _) => Line::styled(format!("CONNECTION LOST, trying again: {}", one_line(why)), palette.bad),
        (None, Some(status)) if !status.ready => {
            Line::styled(status.not_ready_because.first().cloned().unwrap_or_default(), palette.warning)
        }
        _ => Line::styled(app.server.clone(), palette.faint),
    };
    frame.render_widget(Paragraph::new(vec![Line::from(words), second]), area);
}

fn draw_foot(frame: &mut Frame<'_>, area: Rect, app: &App, palette: &Palette) {
    let line = if app.is_searching {
        Line::from(format!("search: {}▏  Enter keeps it, Esc ends it", app.peers.searched()))
    } else {
        Line::styled("q end  ? help  Tab pane  ↑↓ PgUp PgDn move  s sort  / search", palette.faint)
    };
    frame.render_widget(line, area);
}

fn draw_help(frame: &mut Frame<'_>, area: Rect) {
    let lines: Vec<_> = HELP.lines().map(Line::from).collect();
    let (width, height) = (74.min(area.width), (lines.len() as u16 + 2).min(area.height));
    let place = Rect::new((area.width - width) / 2, (area.height - height) / 2, width, height);
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" help, any key ends it ")), place);
}

/// The title of a pane; the one that arrows move in stands out.
fn pane(title: &str, is_current: bool) -> Block<'static> {
    let style = if is_current { Style::new().add_modifier(Modifier::BOLD) } else { Style::new() };
    let mark = if is_current { "▸" } else { " " };
    Block::new().borders(Borders::TOP).title(Span::styled(format!("{mark}{title} "), style))
}

/// The first line of several; control characters, which would move the cursor, are left out.
fn one_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().filter(|letter| !letter.is_control()).collect()
}

const MIN_WIDTH: u16 = 80;
const MIN_HEIGHT: u16 = 24;

const HELP: &str = "\
↑ ↓ PgUp PgDn Home End   move in the pane marked with ▸
Tab                      next pane: peers, workers, drop reasons
s                        sort peers by traffic, by drops, by ISD-AS
/                        search peers by ISD-AS, name or prefix; Esc ends it
q                        end

Peers: ✖ dark, without a key: its traffic is dropped. ! degraded: its next
key cannot be fetched; the last line of the pane says why, and when it goes
dark. Both stand first. Beyond the end of a page begins the next one.

Keys: ██░░ how much of the time of the key in use is over, then what is
left of it; + the next key is there already.

Rates are packets and bits by second. Drops of a peer: of packets that
name it, proven or not.";
