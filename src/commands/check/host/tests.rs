use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

#[test]
fn hugepages_are_needed_only_if_the_configuration_asks_for_them() {
    let machine = Files::new().hugepages(0, 0);
    assert_eq!(machine.line("hugepages", &tap("")), "ok none reserved; not needed (memory.hugepages = false)");
    let fix = "echo 128 | sudo tee /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
    let finding = machine.line("hugepages", &tap("[memory]\nhugepages = true\n"));
    assert!(
        finding.starts_with(&format!("fail none reserved; 256 MiB must be free (memory.mib) -> {fix}")),
        "{finding}"
    );
}

#[test]
fn enough_free_hugepages_are_shown_by_node() {
    let machine = Files::new().hugepages(256, 200);
    let finding = machine.line("hugepages", &tap("[memory]\nhugepages = true\n"));
    assert_eq!(finding, "ok 200 of 256 pages of 2 MiB free (node0: 150, node1: 50); 256 MiB needed");
}

#[test]
fn too_few_free_hugepages_fail() {
    let machine = Files::new().hugepages(256, 127);
    assert!(machine.line("hugepages", &tap("[memory]\nhugepages = true\n")).starts_with("fail 127 of 256 pages"));
}

#[test]
fn a_network_card_needs_memory_that_may_be_locked() {
    let few = Files::new().limits("8388608").rights(0);
    assert!(
        few.line("memlock", &card(""))
            .starts_with("fail only 8 MiB may be locked, and a network card needs 256 MiB -> ")
    );
    assert_eq!(few.line("memlock", &tap("")), "ok 8 MiB; no network card needs more");
    assert_eq!(Files::new().limits("unlimited").rights(0).line("memlock", &card("")), "ok unlimited");
    assert_eq!(Files::new().limits("268435456").rights(0).line("memlock", &card("")), "ok 256 MiB");
    let privileged = Files::new().limits("65536").rights(1 << 14);
    assert_eq!(privileged.line("memlock", &card("")), "ok unlimited: this user has CAP_IPC_LOCK");
}

#[test]
fn the_iommu_matters_to_network_cards_only() {
    let without = Files::new();
    assert_eq!(without.line("iommu", &tap("")), "ok not needed: no port is a network card");
    assert!(
        without.line("iommu", &card("")).starts_with("warn none, so vfio-pci hands out no network card -> turn it on")
    );
    let groups = Files::new().folder("sys/kernel/iommu_groups/0").folder("sys/kernel/iommu_groups/1");
    assert_eq!(groups.line("iommu", &card("")), "ok 2 groups");
    let reckless = Files::new().file("sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "Y\n");
    assert!(reckless.line("iommu", &card("")).starts_with("warn none, and vfio runs without"));
}

#[test]
fn vfio_must_be_loaded_and_reachable() {
    let loaded = || Files::new().folder("sys/module/vfio_pci");
    assert_eq!(
        Files::new().line("vfio", &card("")),
        "warn the module vfio-pci is not loaded -> sudo modprobe vfio-pci"
    );
    assert!(
        loaded().line("vfio", &card("")).starts_with("warn vfio-pci is loaded, but /dev/vfio/vfio is not there -> ")
    );
    assert_eq!(loaded().file("dev/vfio/vfio", "").line("vfio", &card("")), "ok vfio-pci is loaded");
}

#[test]
fn a_network_card_that_is_not_there_is_answered_with_those_that_are() {
    let machine = Files::new().pci("0000:3b:00.1", "ixgbe").pci("0000:00:1f.2", "ahci");
    let machine = machine
        .file("sys/bus/pci/devices/0000:3b:00.1/class", "0x020000\n")
        .file("sys/bus/pci/devices/0000:00:1f.2/class", "0x010601\n");
    assert_eq!(
        machine.line("port inside", &card("")),
        "fail there is no PCI device 0000:3b:00.0 -> correct the port's device; the network cards here: 0000:3b:00.1"
    );
}

#[test]
fn a_network_card_must_be_bound_to_a_driver_that_hands_it_out() {
    let bind = "sudo dpdk-devbind.py --bind=vfio-pci 0000:3b:00.0";
    let driven_by = |driver| Files::new().pci(CARD, driver).line("port inside", &card(""));
    assert_eq!(driven_by("vfio-pci"), "ok 0000:3b:00.0 is bound to vfio-pci");
    assert_eq!(driven_by("mlx5_core"), "ok 0000:3b:00.0 is shared between the kernel and DPDK by mlx5_core");
    assert!(driven_by("igb_uio").starts_with("warn 0000:3b:00.0 is bound to igb_uio"));
    let kernel = Files::new().pci(CARD, "ixgbe").folder(&format!("sys/bus/pci/devices/{CARD}/net/enp59s0f0"));
    let expected = format!("fail 0000:3b:00.0 is bound to ixgbe (the kernel's enp59s0f0) -> {bind}");
    assert!(kernel.line("port inside", &card("")).starts_with(&expected));
    let unbound = Files::new().folder(&format!("sys/bus/pci/devices/{CARD}"));
    assert_eq!(unbound.line("port inside", &card("")), format!("fail 0000:3b:00.0 has no driver -> {bind}"));
}

#[test]
fn a_neighbour_in_the_iommu_group_must_not_be_driven_by_the_kernel() {
    let group = format!("sys/bus/pci/devices/{CARD}/iommu_group/devices");
    let machine = |driver| {
        let machine = Files::new().pci(CARD, "vfio-pci").pci("0000:3b:00.1", driver);
        machine.folder(&format!("{group}/{CARD}")).folder(&format!("{group}/0000:3b:00.1"))
    };
    let findings = machine("ixgbe").lines("port inside", &card(""));
    assert_eq!(
        findings[1],
        "fail 0000:3b:00.0 shares its IOMMU group with 0000:3b:00.1, which the kernel drives \
         -> sudo dpdk-devbind.py --bind=vfio-pci 0000:3b:00.1"
    );
    assert_eq!(machine("pcieport").lines("port inside", &card("")).len(), 1);
}

#[test]
fn a_worker_on_another_numa_node_than_the_card_is_warned_about() {
    let machine = Files::new()
        .pci(CARD, "vfio-pci")
        .file(&format!("sys/bus/pci/devices/{CARD}/numa_node"), "1\n")
        .file("sys/devices/system/node/node1/cpulist", "4-7\n");
    let findings = machine.lines("port inside", &card("[workers]\ncores = [3, 4]\n"));
    assert_eq!(findings[1], "warn 0000:3b:00.0 is at NUMA node 1, and core 3 is not -> choose workers.cores from 4-7");
    assert_eq!(machine.lines("port inside", &card("[workers]\ncores = [4]\n")).len(), 1);
    let single = Files::new().pci(CARD, "vfio-pci").file(&format!("sys/bus/pci/devices/{CARD}/numa_node"), "-1\n");
    assert_eq!(single.lines("port inside", &card("[workers]\ncores = [4]\n")).len(), 1);
}

#[test]
fn making_interfaces_takes_a_device_and_the_right_to_it() {
    assert!(Files::new().line("tun", &tap("")).starts_with("fail /dev/net/tun is not there"));
    let machine = Files::new().file("dev/net/tun", "");
    assert_eq!(machine.line("tun", &tap("")), "ok /dev/net/tun is there");
    let unprivileged = Files::new().rights(1 << 12).line("rights", &tap(""));
    assert!(unprivileged.starts_with("fail this user may not make or use network interfaces"), "{unprivileged}");
    let privileged = Files::new().rights(1 << 12 | 1 << 13).line("rights", &tap(""));
    assert_eq!(privileged, "ok this user may make and use network interfaces");
}

#[test]
fn network_cards_alone_need_no_interfaces() {
    assert_eq!(Files::new().line("interfaces", &card("")), "ok none needed");
}

#[test]
fn an_interface_that_is_to_be_made_must_not_be_there_yet() {
    let machine = Files::new().folder("sys/class/net/pg-in");
    assert_eq!(
        machine.line("port inside", &tap("")),
        "warn the interface pg-in is there already: another filter's, or a leftover \
         -> stop that filter, or: sudo ip link delete pg-in"
    );
}

#[test]
fn an_interface_that_is_to_be_used_must_be_there() {
    let config = TAPS.replace("net_tap0,iface=pg-in", "net_af_packet0,iface=eth7");
    assert_eq!(
        Files::new().folder("sys/class/net/eth0").line("port inside", &config),
        "fail there is no interface eth7 -> correct iface= in the port's device; the interfaces here: eth0"
    );
    assert_eq!(
        Files::new().folder("sys/class/net/eth7").line("port inside", &config),
        "ok the interface eth7 is there"
    );
}

#[test]
fn workers_need_cores_that_the_process_may_use() {
    let machine = Files::new().status("Cpus_allowed_list:\t0-1\n");
    assert_eq!(machine.line("cores", &tap("")), "ok this process may use 0-1");
    assert!(
        machine
            .line("cores", &tap("[workers]\ncount = 2\n"))
            .starts_with("warn every core of this process (0-1) would poll")
    );
    assert_eq!(
        machine.line("cores", &tap("[workers]\ncount = 3\n")),
        "fail 3 workers, and this process may use 2 cores (0-1) -> set workers.count to 2 or less"
    );
    let elsewhere = machine.line("cores", &tap("[workers]\ncores = [0, 9]\n"));
    assert!(elsewhere.starts_with("fail core 9 is not one that this process may use (0-1) -> "), "{elsewhere}");
}

#[test]
fn chosen_cores_had_better_be_isolated() {
    let machine = |isolated: &str| {
        Files::new().status("Cpus_allowed_list:\t0-7\n").file("sys/devices/system/cpu/isolated", isolated)
    };
    let chosen = tap("[workers]\ncores = [2, 3]\n");
    assert_eq!(machine("2-3\n").line("isolation", &chosen), "ok the workers' cores are isolated");
    assert_eq!(
        machine("2\n").line("isolation", &chosen),
        "warn other work may run on core 3, which costs packets under load \
         -> add isolcpus=3 nohz_full=3 to the kernel's command line, reboot"
    );
    assert!(machine("\n").lines("isolation", &tap("")).is_empty());
}

#[test]
fn cores_that_save_power_are_warned_about() {
    let machine = |governor: &str| {
        let file = "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor";
        Files::new().status("Cpus_allowed_list:\t0-1\n").file(file, governor)
    };
    assert_eq!(machine("performance\n").line("frequency", &tap("")), "ok no core is set to save power");
    assert_eq!(
        machine("powersave\n").line("frequency", &tap("")),
        "warn core 1 saves power (governor `powersave`), so its speed varies -> sudo cpupower frequency-set -g performance"
    );
}

#[test]
fn the_clock_should_be_kept_by_somebody() {
    let kept = Files::new().file("proc/1/comm", "init\n").file("proc/77/comm", "chronyd\n");
    assert_eq!(kept.line("clock", &tap("")), "ok kept by chronyd");
    let set = Files::new().file("run/systemd/timesync/synchronized", "");
    assert_eq!(set.line("clock", &tap("")), "ok was set by systemd-timesyncd");
    let alone = Files::new().file("proc/1/comm", "init\n").line("clock", &tap(""));
    assert!(alone.starts_with("warn no time synchronisation is running here"), "{alone}");
}

#[test]
fn without_a_configuration_nothing_that_only_some_filters_need_fails() {
    let findings = check(&Machine::new(Files::new().status("Cpus_allowed_list:\t0\n").root.path()), None);
    assert!(findings.iter().all(|finding| finding.status != Status::Fail), "{findings:?}");
    for subject in ["hugepages", "memlock", "iommu", "vfio", "tun", "rights", "cores", "clock"] {
        assert!(findings.iter().any(|finding| finding.subject == subject), "{subject} is not looked at");
    }
}

#[test]
fn whatever_is_not_ok_comes_with_what_mends_it() {
    for config in [tap("[memory]\nhugepages = true\n"), card("[workers]\ncores = [5]\n")] {
        for finding in Files::new().check(&config) {
            assert_eq!(finding.fix.is_none(), finding.status == Status::Ok, "{finding:?}");
        }
    }
}

#[test]
fn the_report_puts_each_remedy_below_its_finding() {
    let findings = [Finding::ok("tun", "is there"), Finding::fail("vfio", "is missing", "first this\nthen that")];
    let expected = "\
ok    tun          is there
fail  vfio         is missing
                    first this
                    then that
";
    assert_eq!(report(&findings), expected);
    assert_eq!(complaint(&findings).as_deref(), Some("1 problem keeps a filter from running on this machine"));
    assert_eq!(complaint(&findings[..1]), None);
}

#[test]
fn lists_of_the_kernel_are_read() {
    assert_eq!(parse_list("0-2,5,8-9"), [0, 1, 2, 5, 8, 9]);
    assert_eq!(parse_list("3"), [3]);
    assert!(parse_list("").is_empty());
}

/// A machine made of the files that it shows.
struct Files {
    root: TempDir,
}

impl Files {
    fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap() }
    }

    fn file(self, path: &str, content: &str) -> Self {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    fn folder(self, path: &str) -> Self {
        fs::create_dir_all(self.root.path().join(path)).unwrap();
        self
    }

    /// Pages of 2 MiB, of which node 1 has 50 free.
    fn hugepages(self, total: u64, free: u64) -> Self {
        let pages = |machine: Self, folder: &str, free: u64| {
            let folder = format!("{folder}/hugepages-2048kB");
            let machine = machine.file(&format!("{folder}/nr_hugepages"), &format!("{total}\n"));
            machine.file(&format!("{folder}/free_hugepages"), &format!("{free}\n"))
        };
        let machine = pages(self, "sys/kernel/mm/hugepages", free);
        let machine = pages(machine, "sys/devices/system/node/node0/hugepages", free.saturating_sub(50));
        pages(machine, "sys/devices/system/node/node1/hugepages", free.min(50))
    }

    fn limits(self, locked: &str) -> Self {
        let line = format!("Max open files   1024   4096   files\nMax locked memory   {locked}   {locked}   bytes\n");
        self.file("proc/self/limits", &line)
    }

    fn status(self, status: &str) -> Self {
        self.file("proc/self/status", status)
    }

    fn rights(self, capabilities: u64) -> Self {
        self.status(&format!("Name:\tphotongate\nCapEff:\t{capabilities:016x}\n"))
    }

    fn pci(self, address: &str, driver: &str) -> Self {
        let device = format!("sys/bus/pci/devices/{address}");
        let machine = self.folder(&device).folder(&format!("sys/bus/pci/drivers/{driver}"));
        symlink(format!("../../drivers/{driver}"), machine.root.path().join(device).join("driver")).unwrap();
        machine
    }

    fn check(&self, config: &str) -> Vec<Finding> {
        let config = FilterConfig::parse("filter.toml".as_ref(), config).unwrap();
        check(&Machine::new(self.root.path()), Some(&config))
    }

    /// The findings on `subject`, each as `status message -> fix`.
    fn lines(&self, subject: &str, config: &str) -> Vec<String> {
        let findings = self.check(config).into_iter().filter(|finding| finding.subject == subject);
        let line = |Finding { status, message, fix, .. }| {
            let fix = fix.map(|fix: String| format!(" -> {fix}")).unwrap_or_default();
            format!("{} {message}{fix}", Status::name(status))
        };
        findings.map(line).collect()
    }

    /// The first of the findings on `subject`.
    fn line(&self, subject: &str, config: &str) -> String {
        self.lines(subject, config).into_iter().next().unwrap_or_else(|| panic!("{subject} is not looked at"))
    }
}

/// A filter between two TAP interfaces, with `more` in its configuration.
fn tap(more: &str) -> String {
    format!("{TAPS}{more}")
}

/// A filter between a network card and nothing.
fn card(more: &str) -> String {
    let cards = TAPS.replace("net_tap0,iface=pg-in", CARD).replace("net_tap1,iface=pg-out", "net_null0");
    format!("{cards}{more}")
}

const CARD: &str = "0000:3b:00.0";

const TAPS: &str = r#"
isd_as = "1-1"
[[ports]]
name = "inside"
device = "net_tap0,iface=pg-in"
role = "inside"
forward_to = "outside"
[[ports]]
name = "outside"
device = "net_tap1,iface=pg-out"
role = "outside"
forward_to = "inside"
"#;
