//! Peers: their traffic and how far their keys are, those in trouble first.

use jiff::Timestamp;
use photongate_agent::api::KeyEpoch;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Row as TableRow, Table};

use super::super::app::{App, Pane};
use super::super::peers::Row;
use super::super::timeline::Timeline;
use super::{Palette, one_line, pane};
use crate::commands::status::encapsulation;
use crate::numbers::{relative, scaled};

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, app: &mut App, palette: &Palette) {
    let search = app.peers.searched();
    let searched = if search.is_empty() { String::new() } else { format!(", with {search:?}") };
    let block = pane(&format!("peers: {}{searched}", app.peers.caption()), app.pane == Pane::Peers);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let [table, detail] = Layout::vertical([Constraint::Min(0), Constraint::Length(1)]).areas(inner);
    // Without the line with the headings.
    let visible = usize::from(table.height.saturating_sub(1));
    app.visible_peers = visible;
    let (rows, selected, now) = (app.peers.rows(), app.peers.selected(), app.now_ms());
    // The selected one is visible, and pages stand still while it moves within them.
    let first = selected - selected.checked_rem(visible).unwrap_or(0);
    let lines = rows.iter().enumerate().skip(first).take(visible).map(|(index, row)| {
        let line = line(row, now, palette);
        if index == selected { line.style(Style::new().add_modifier(Modifier::REVERSED)) } else { line }
    });
    let heading = TableRow::new(["", "peer", "name", "in/s", "out/s", "drop/s", "inbound key", "outbound key"]);
    let widths = [
        Constraint::Length(1),
        Constraint::Length(21),
        Constraint::Fill(1),
        Constraint::Length(6),
        Constraint::Length(6),
        Constraint::Length(6),
        Constraint::Length(TIMELINE),
        Constraint::Length(TIMELINE),
    ];
    frame.render_widget(Table::new(lines, widths).header(heading.style(palette.faint)), table);
    let words = match rows.get(selected) {
        Some(row) => about(row, now, palette),
        None if search.is_empty() => Line::from("no peers"),
        None => Line::from("no peer has that in its ISD-AS, name or prefixes"),
    };
    frame.render_widget(words, detail);
}

fn line(row: &Row, now_ms: u64, palette: &Palette) -> TableRow<'static> {
    let peer = &row.peer;
    let (mark, style) = match &peer.degraded {
        Some(degraded) if degraded.is_dark => ("✖", palette.bad),
        Some(_) => ("!", palette.warning),
        None => ("", Style::new()),
    };
    let rate = |packets: f64| Line::from(scaled(packets)).right_aligned();
    let keys = &peer.keys;
    TableRow::new([
        Line::styled(mark, style),
        Line::styled(format!("{}/{}", peer.isd_as, peer.drkey_protocol), style),
        Line::from(one_line(peer.name.as_deref().unwrap_or_default())),
        rate(row.inbound.packets),
        rate(row.outbound.packets),
        rate(row.dropped.packets),
        timeline(keys.inbound.as_ref(), keys.inbound_old.as_ref(), now_ms, palette),
        timeline(keys.outbound.as_ref(), keys.outbound_old.as_ref(), now_ms, palette),
    ])
}

fn timeline(newest: Option<&KeyEpoch>, old: Option<&KeyEpoch>, now_ms: u64, palette: &Palette) -> Line<'static> {
    match Timeline::of(newest, old, now_ms) {
        Some(timeline) => {
            Line::from(vec![Span::styled(timeline.bar(BAR), palette.good), Span::raw(format!(" {}", timeline.left()))])
        }
        None => Line::styled("no key", palette.bad),
    }
}

/// More about the peer that is looked at: its encapsulation, and why it is degraded, or else what lies behind it.
fn about(row: &Row, now_ms: u64, palette: &Palette) -> Line<'static> {
    let peer = &row.peer;
    let peer_is = format!("{} ({})", peer.isd_as, encapsulation(peer));
    let Some(degraded) = &peer.degraded else {
        return Line::styled(format!("{peer_is}: {}", peer.prefixes.join(", ")), palette.faint);
    };
    let now = i64::try_from(now_ms).ok().and_then(|now| Timestamp::from_millisecond(now).ok()).unwrap_or_default();
    let fate = match &degraded.dark_at {
        _ if degraded.is_dark => "DARK".to_owned(),
        Some(dark_at) => format!("dark {}", relative(dark_at, now)),
        None => "degraded".to_owned(),
    };
    Line::styled(format!("{peer_is}: {fate}: {}", one_line(&degraded.reason)), palette.warning)
}

/// Cells of a key's bar.
const BAR: usize = 6;

/// The bar, and the time that is left.
const TIMELINE: u16 = BAR as u16 + 6;
