//! The text format of Prometheus, version 0.0.4, from OpenMetrics.
//!
//! The two differ in how a family of counters is called, and in lines that only OpenMetrics has. OpenMetrics also
//! forbids sums of histograms with bounds below zero, which clock skew has. Every scraper reads this format, and so
//! do people.

/// Makes the one of the other.
pub(super) fn from_open_metrics(text: &str) -> String {
    let mut plain = String::with_capacity(text.len() + text.len() / 16);
    let mut help = None;
    for line in text.lines() {
        let mut words = line.splitn(4, ' ');
        match [words.next(), words.next(), words.next(), words.next()] {
            [Some("#"), Some("EOF" | "UNIT"), ..] => {}
            // It belongs to the kind of metric on the next line, which decides what the family is called.
            [Some("#"), Some("HELP"), Some(_), text] => help = text,
            [Some("#"), Some("TYPE"), Some(name), Some(kind)] => {
                let suffix = if kind == "counter" { "_total" } else { "" };
                if let Some(help) = help.take() {
                    plain.extend(["# HELP ", name, suffix, " ", help, "\n"]);
                }
                plain.extend(["# TYPE ", name, suffix, " ", kind, "\n"]);
            }
            _ => plain.extend([line, "\n"]),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_called_in_their_description_as_in_their_samples() {
        let open = "# HELP a_b What it is.\n# TYPE a_b counter\na_b_total{l=\"x y\"} 7\n# EOF\n";
        assert_eq!(
            from_open_metrics(open),
            "# HELP a_b_total What it is.\n# TYPE a_b_total counter\na_b_total{l=\"x y\"} 7\n"
        );
    }

    #[test]
    fn everything_else_is_called_as_before_and_units_stay_in_the_name_only() {
        let open = "# HELP a_seconds What.\n# TYPE a_seconds histogram\n# UNIT a_seconds seconds\na_seconds_sum 1.5\n";
        assert_eq!(from_open_metrics(open), "# HELP a_seconds What.\n# TYPE a_seconds histogram\na_seconds_sum 1.5\n");
    }
}
