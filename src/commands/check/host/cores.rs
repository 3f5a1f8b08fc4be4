//! Processor cores: are the workers' there, left alone, and at full speed?

use super::{Finding, Machine, parse_list};
use crate::config::FilterConfig;

pub(super) fn check(machine: &Machine, config: Option<&FilterConfig>, findings: &mut Vec<Finding>) {
    let allowed = machine.process("Cpus_allowed_list").unwrap_or_default();
    let usable = parse_list(&allowed);
    let workers = config.map_or(1, |config| config.workers.count);
    let chosen = config.and_then(|config| config.workers.cores.as_deref());
    let missing: Vec<_> =
        chosen.into_iter().flatten().filter(|core| !usable.contains(core)).map(ToString::to_string).collect();
    if !missing.is_empty() {
        let message = format!("core {} is not one that this process may use ({allowed})", missing.join(", "));
        let fix = "choose others in workers.cores, or widen the process's set with taskset or cpuset";
        findings.push(Finding::fail("cores", message, fix));
        return;
    }
    if workers > usable.len() {
        let message = format!("{workers} workers, and this process may use {} cores ({allowed})", usable.len());
        findings.push(Finding::fail("cores", message, format!("set workers.count to {} or less", usable.len())));
        return;
    }
    let busy = if workers == usable.len() {
        let message = format!("every core of this process ({allowed}) would poll, and none is left for anything else");
        Finding::warn("cores", message, "have one worker less")
    } else {
        Finding::ok("cores", format!("this process may use {allowed}"))
    };
    findings.push(busy);
    if let Some(cores) = chosen {
        findings.extend(isolation(machine, cores));
    }
    findings.push(governor(machine, chosen.unwrap_or(&usable)));
}

/// Whether the scheduler puts other work on the workers' cores: each time, packets are lost or late.
fn isolation(machine: &Machine, cores: &[usize]) -> Option<Finding> {
    let isolated = parse_list(&machine.read("sys/devices/system/cpu/isolated")?);
    let shared: Vec<_> = cores.iter().filter(|core| !isolated.contains(core)).map(ToString::to_string).collect();
    if shared.is_empty() {
        return Some(Finding::ok("isolation", "the workers' cores are isolated"));
    }
    let list = shared.join(",");
    let message = format!("other work may run on core {list}, which costs packets under load");
    let fix = format!("add isolcpus={list} nohz_full={list} to the kernel's command line, reboot");
    Some(Finding::warn("isolation", message, fix))
}

fn governor(machine: &Machine, cores: &[usize]) -> Finding {
    let slow = cores.iter().find_map(|core| {
        let governor = machine.read(format!("sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor"))?;
        (governor != "performance").then_some((core, governor))
    });
    match slow {
        Some((core, governor)) => Finding::warn(
            "frequency",
            format!("core {core} saves power (governor `{governor}`), so its speed varies"),
            "sudo cpupower frequency-set -g performance",
        ),
        None => Finding::ok("frequency", "no core is set to save power"),
    }
}
