//! What was sent, what arrived and what was refused, and whether that adds up.

use std::collections::BTreeMap;

use super::lab::Counters;
use super::screen::Screen;

/// The rows of the table at the end.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    rows: Vec<Row>,
}

/// One kind of traffic.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// What it is.
    pub(crate) class: String,
    /// Whether it is an attack.
    pub(crate) is_attack: bool,
    /// Packets sent, as counted where they were sent.
    pub(crate) sent: u64,
    /// Packets that arrived, as counted where they arrived.
    pub(crate) arrived: u64,
    /// Packets that the filters dropped, by reason, as counted by the filters.
    pub(crate) refused: BTreeMap<String, u64>,
}

/// A filter's own account, over all.
#[derive(Debug)]
pub(crate) struct Account {
    /// `filter A`
    pub(crate) filter: String,
    /// What it counted.
    pub(crate) counters: Counters,
}

impl Row {
    /// Whether nothing was lost without a reason.
    pub(crate) fn adds_up(&self) -> bool {
        self.sent == self.arrived + self.all_refused()
    }

    /// Packets refused, for whatever reason.
    pub(crate) fn all_refused(&self) -> u64 {
        self.refused.values().sum()
    }
}

impl Ledger {
    /// Adds a row.
    pub(crate) fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Whether every row adds up, and every filter's own account does, and nothing was lost.
    pub(crate) fn adds_up(&self, accounts: &[Account]) -> bool {
        self.rows.iter().all(Row::adds_up)
            && accounts.iter().all(|account| account.counters.add_up() && account.counters.lost == 0)
    }

    /// Prints the table, the filters' accounts, and whether it all adds up.
    pub(crate) fn print(&self, accounts: &[Account], screen: &Screen) {
        let width = self.rows.iter().map(|row| row.class.chars().count()).max().unwrap_or_default().max(HEADING.len());
        screen.line(
            &screen.bold(&format!("  {HEADING:width$}  {:>7}  {:>7}  {:>7}  by reason", "sent", "arrived", "refused")),
        );
        let mut was_attack = false;
        for row in &self.rows {
            if row.is_attack && !was_attack {
                screen.line(&screen.dim(&format!("  {}", "─".repeat(width + 27 + 24))));
            }
            was_attack = row.is_attack;
            let reasons: Vec<_> = row.refused.iter().map(|(reason, count)| reason_text(row, reason, *count)).collect();
            let mark = if row.adds_up() { String::new() } else { screen.red("  does not add up") };
            screen.line(&format!(
                "  {:width$}  {:>7}  {}  {}  {}{mark}",
                row.class,
                row.sent,
                screen.green_unless_zero(row.arrived),
                screen.red_unless_zero(row.all_refused()),
                reasons.join(", "),
            ));
        }
        let sum = |of: fn(&Row) -> u64| self.rows.iter().map(of).sum::<u64>();
        screen.line(&screen.dim(&format!("  {}", "─".repeat(width + 27 + 24))));
        screen.line(&screen.bold(&format!(
            "  {:width$}  {:>7}  {:>7}  {:>7}",
            "all",
            sum(|row| row.sent),
            sum(|row| row.arrived),
            sum(Row::all_refused)
        )));
        screen.line("");
        for account in accounts {
            screen.line(&account_line(account));
        }
        screen.line("");
        if self.adds_up(accounts) {
            let verdict = "It adds up: every packet sent has arrived, or was refused for a reason that is counted.";
            screen.line(&screen.green(verdict));
        } else {
            screen.line(&screen.red("It does NOT add up: packets were lost that no counter knows of."));
        }
    }
}

fn reason_text(row: &Row, reason: &str, count: u64) -> String {
    if row.refused.len() == 1 { reason.to_owned() } else { format!("{reason} {count}") }
}

fn account_line(Account { filter, counters }: &Account) -> String {
    let forwarded = ["outbound", "accepted", "best_effort", "control"]
        .into_iter()
        .filter(|verdict| counters.forwarded(verdict) > 0)
        .map(|verdict| format!("{} {verdict}", counters.forwarded(verdict)));
    let parts: Vec<_> = forwarded.chain([format!("{} dropped", counters.all_dropped())]).collect();
    let lost = if counters.lost == 0 { String::new() } else { format!(", and {} lost", counters.lost) };
    format!("  {filter} received {} = {}{lost}", counters.received, parts.join(" + "))
}

const HEADING: &str = "traffic";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_adds_up_when_nothing_is_missing() {
        assert!(row(100, 60, &[("bad_mac", 30), ("duplicate", 10)]).adds_up());
        assert!(!row(100, 60, &[("bad_mac", 30)]).adds_up());
        assert!(!row(100, 100, &[("bad_mac", 1)]).adds_up());
    }

    #[test]
    fn a_packet_lost_in_a_filter_spoils_the_sum() {
        let mut ledger = Ledger::default();
        ledger.add(row(2, 2, &[]));
        let account = |received, lost| Account {
            filter: "filter A".to_owned(),
            counters: Counters {
                received,
                forwarded: BTreeMap::from([("outbound".to_owned(), 2)]),
                lost,
                ..Counters::default()
            },
        };
        assert!(ledger.adds_up(&[account(2, 0)]));
        assert!(!ledger.adds_up(&[account(3, 0)]));
        assert!(!ledger.adds_up(&[account(2, 1)]));
    }

    #[test]
    fn a_filters_account_shows_only_what_there_was() {
        let counters = Counters {
            received: 7,
            forwarded: BTreeMap::from([("accepted".to_owned(), 4), ("outbound".to_owned(), 2)]),
            dropped: BTreeMap::from([("bad_mac".to_owned(), 1)]),
            lost: 0,
        };
        let line = account_line(&Account { filter: "filter B".to_owned(), counters });
        assert_eq!(line, "  filter B received 7 = 2 outbound + 4 accepted + 1 dropped");
    }

    fn row(sent: u64, arrived: u64, refused: &[(&str, u64)]) -> Row {
        let refused = refused.iter().map(|(reason, count)| ((*reason).to_owned(), *count)).collect();
        Row { class: "test".to_owned(), is_attack: true, sent, arrived, refused }
    }
}
