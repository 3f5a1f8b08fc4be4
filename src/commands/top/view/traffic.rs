//! Traffic by verdict: rates, and curves of the last minutes.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;
use ratatui::widgets::Sparkline;

use super::super::app::App;
use super::super::rates::SERIES;
use super::{Palette, pane};
use crate::numbers::scaled_in;

/// Lines that it takes: one for each verdict, and the title.
pub(super) const HEIGHT: u16 = SERIES.len() as u16 + 1;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, app: &App, palette: &Palette) {
    let block = pane("traffic", false);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let lines = Layout::vertical([Constraint::Length(1); SERIES.len()]).split(inner);
    for (name, line) in SERIES.into_iter().zip(lines.iter()) {
        let [words, curve] = Layout::horizontal([Constraint::Length(40), Constraint::Min(0)]).areas(*line);
        let Some(series) = app.rates.series(name) else {
            frame.render_widget(Line::from(format!("{name:<12} …")), words);
            continue;
        };
        let rate = series.rate;
        let text = format!("{name:<12} {:>11} {:>11}", scaled_in(rate.packets, "pkt/s"), scaled_in(rate.bits, "bit/s"));
        frame.render_widget(Line::from(text), words);
        let style = if name == "dropped" { palette.warning } else { palette.good };
        // The latest is at the right edge.
        let fits = usize::from(curve.width);
        let from = series.history.len().saturating_sub(fits);
        let padding = std::iter::repeat_n(0, fits.saturating_sub(series.history.len()));
        let history: Vec<u64> = padding.chain(series.history.iter().skip(from).copied()).collect();
        frame.render_widget(Sparkline::default().data(history).style(style), curve);
    }
}
