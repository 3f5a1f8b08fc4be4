//! Workers and drop reasons, side by side.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::super::app::{App, Pane};
use super::{Palette, pane};
use crate::numbers::{grouped, scaled};

pub(super) fn draw_workers(frame: &mut Frame<'_>, area: Rect, app: &App, palette: &Palette) {
    let block = pane(&format!("workers: {}", app.workers.len()), app.pane == Pane::Workers);
    let live = app.sample.as_ref().map(|sample| sample.busy.as_slice()).unwrap_or_default();
    let lines = app.workers.iter().skip(app.first_worker).take(usize::from(area.height)).map(|row| {
        let worker = &row.worker;
        let rate = format!("{:>7} pkt/s", scaled(row.rate.packets));
        if !worker.polling {
            return Line::from(vec![Span::styled(format!("{:>3} ✖ DOES NOT POLL", worker.index), palette.bad)]);
        }
        // The share of the last second, where it is known.
        let busy = live.get(worker.index).copied().unwrap_or(worker.busy).clamp(0.0, 1.0);
        let style = if busy > 0.9 { palette.warning } else { palette.good };
        let full = (busy * BAR as f64).round() as usize;
        let bar = "█".repeat(full) + &"░".repeat(BAR - full);
        Line::from(vec![
            Span::raw(format!("{:>3} ", worker.index)),
            Span::styled(bar, style),
            Span::raw(format!(" {:>3.0}% {rate}", busy * 100.0)),
        ])
    });
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()).block(block), area);
}

pub(super) fn draw_reasons(frame: &mut Frame<'_>, area: Rect, app: &App, palette: &Palette) {
    let block = pane("drop reasons: pkt/s, all", app.pane == Pane::Reasons);
    let lines = app.rates.reasons().iter().skip(app.first_reason).take(usize::from(area.height)).map(|reason| {
        let style = if reason.rate.packets > 0.0 { palette.warning } else { palette.faint };
        let words = format!("{:>7} {:>12} {}", scaled(reason.rate.packets), grouped(reason.packets), reason.name);
        Line::styled(words, style)
    });
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()).block(block), area);
}

/// Cells of a worker's bar.
const BAR: usize = 12;
