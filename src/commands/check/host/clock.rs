//! The clock: packets carry the time at which they were sent, and a clock that is off by more than
//! `keys.time_threshold` makes every packet too old or too new.

use super::{Finding, Machine};

pub(super) fn check(machine: &Machine, findings: &mut Vec<Finding>) {
    let processes = || machine.list("proc").into_iter().filter(|name| name.bytes().all(|digit| digit.is_ascii_digit()));
    let client = processes().find_map(|process| {
        let name = machine.read(format!("proc/{process}/comm"))?;
        CLIENTS.contains(&name.as_str()).then_some(name)
    });
    findings.push(match client {
        Some(name) => Finding::ok("clock", format!("kept by {name}")),
        None if machine.exists("run/systemd/timesync/synchronized") => {
            Finding::ok("clock", "was set by systemd-timesyncd")
        }
        None => Finding::warn(
            "clock",
            "no time synchronisation is running here (a virtual machine's host may do it)",
            "sudo apt install chrony",
        ),
    });
}

/// Names of time clients as the kernel keeps them: 15 characters.
const CLIENTS: [&str; 7] = ["chronyd", "ntpd", "ntpd-rs", "ntp-daemon", "systemd-timesyn", "ptp4l", "phc2sys"];
