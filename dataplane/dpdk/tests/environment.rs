//! What initialising the environment does to the process: processors and messages.

use std::sync::{Mutex, OnceLock};

use photongate_dpdk::eal::CpuSet;
use photongate_dpdk::eal::log::LogLevel;
use photongate_dpdk::{Eal, EalConfig, Port, PortError};

#[test]
fn the_calling_thread_keeps_to_the_main_processors_and_its_children_inherit_that() {
    let before = CpuSet::usable();
    let last = before.iter().last().unwrap();
    let environment = environment();
    let expected: CpuSet = [last].into_iter().collect();
    assert_eq!((&environment.cpus, &environment.childs_cpus), (&expected, &expected));
}

#[test]
fn messages_reach_the_programs_log() {
    let eal = environment().eal;
    let _port = Port::attach(eal, "net_ring0").unwrap();
    assert!(was_told("EAL: Detected") && was_told("pmd_ring"));
}

#[test]
fn messages_that_belong_into_an_error_are_not_told_twice() {
    let eal = environment().eal;
    let Err(PortError::Attach { log, .. }) = Port::attach(eal, "net_pcap0,rx_pcap=/nonexistent") else {
        panic!("there is no such file");
    };
    assert!(!log.is_empty());
    assert!(!log.iter().any(|line| was_told(line)), "{log:?}");
}

struct Environment {
    eal: Eal,
    cpus: CpuSet,
    childs_cpus: CpuSet,
}

fn environment() -> &'static Environment {
    static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| {
        // A thread of its own, so that the tests' threads keep their processors.
        let start = std::thread::spawn(|| {
            let eal = Eal::init(EalConfig {
                main_cpus: CpuSet::usable().iter().last().into_iter().collect(),
                log_level: LogLevel::Info,
                log_sink: Box::new(|_, message| TOLD.lock().unwrap().push(message.to_owned())),
                ..EalConfig::default()
            });
            let childs_cpus = std::thread::spawn(CpuSet::usable).join().unwrap();
            Environment { eal: eal.unwrap(), cpus: CpuSet::usable(), childs_cpus }
        });
        start.join().unwrap()
    })
}

fn was_told(text: &str) -> bool {
    TOLD.lock().unwrap().iter().any(|message| message.contains(text))
}

static TOLD: Mutex<Vec<String>> = Mutex::new(Vec::new());
