//! Network cards: are they there, does DPDK get them, and is the IOMMU between them and the rest of memory?

use super::{Finding, Machine};
use crate::config::{FilterConfig, PciAddress, PortConfig};

pub(super) fn check(machine: &Machine, config: Option<&FilterConfig>, findings: &mut Vec<Finding>) {
    let cards: Vec<_> = config.into_iter().flat_map(|config| &config.ports).filter_map(with_address).collect();
    if config.is_some() && cards.is_empty() {
        findings.push(Finding::ok("iommu", "not needed: no port is a network card"));
        return;
    }
    findings.push(iommu(machine));
    findings.push(vfio(machine));
    for (port, address) in cards {
        findings.push(card(machine, port, address));
        findings.extend(group(machine, port, address));
        findings.extend(numa(machine, config, port, address));
    }
}

fn with_address(port: &PortConfig) -> Option<(&PortConfig, &PciAddress)> {
    Some((port, port.device.pci()?))
}

/// Without an IOMMU a card can write anywhere in memory, and vfio refuses to hand it out unless told otherwise.
fn iommu(machine: &Machine) -> Finding {
    let groups = machine.list("sys/kernel/iommu_groups").len();
    if groups > 0 {
        return Finding::ok("iommu", format!("{groups} groups"));
    }
    let unsafe_mode = machine.read("sys/module/vfio/parameters/enable_unsafe_noiommu_mode");
    if unsafe_mode.as_deref() == Some("Y") {
        return Finding::warn(
            "iommu",
            "none, and vfio runs without: a network card can write anywhere in memory",
            TURN_ON,
        );
    }
    let fix = format!(
        "{TURN_ON}\nor, without its protection: echo Y | sudo tee /sys/module/vfio/parameters/enable_unsafe_noiommu_mode"
    );
    Finding::warn("iommu", "none, so vfio-pci hands out no network card", fix)
}

fn vfio(machine: &Machine) -> Finding {
    if !machine.exists("sys/module/vfio_pci") && !machine.exists("sys/bus/pci/drivers/vfio-pci") {
        return Finding::warn("vfio", "the module vfio-pci is not loaded", "sudo modprobe vfio-pci");
    }
    if !machine.exists("dev/vfio/vfio") {
        let fix = "sudo modprobe vfio     # in a container: pass /dev/vfio in";
        return Finding::warn("vfio", "vfio-pci is loaded, but /dev/vfio/vfio is not there", fix);
    }
    Finding::ok("vfio", "vfio-pci is loaded")
}

/// Whether the card is there, and whether its driver leaves it to DPDK.
fn card(machine: &Machine, port: &PortConfig, address: &PciAddress) -> Finding {
    let subject = format!("port {}", port.name);
    let device = format!("{DEVICES}/{address}");
    if !machine.exists(&device) {
        let cards = network_cards(machine);
        let known = if cards.is_empty() { "none".to_owned() } else { cards.join(", ") };
        let fix = format!("correct the port's device; the network cards here: {known}");
        return Finding::fail(subject, format!("there is no PCI device {address}"), fix);
    }
    let bind = format!("sudo dpdk-devbind.py --bind=vfio-pci {address}");
    match machine.link_name(format!("{device}/driver")).as_deref() {
        None => Finding::fail(subject, format!("{address} has no driver"), bind),
        Some(driver) if KEEPS_ITS_DRIVER.contains(&driver) => {
            Finding::ok(subject, format!("{address} is shared between the kernel and DPDK by {driver}"))
        }
        Some("vfio-pci") => Finding::ok(subject, format!("{address} is bound to vfio-pci")),
        Some(driver) if UIO.contains(&driver) => Finding::warn(
            subject,
            format!("{address} is bound to {driver}, which gives the card access to all memory"),
            bind,
        ),
        Some(driver) => {
            let interfaces = machine.list(format!("{device}/net")).join(", ");
            let lost = if interfaces.is_empty() { String::new() } else { format!(" (the kernel's {interfaces})") };
            let fix = format!("{bind}     # takes it away from the kernel: not the card you are logged in over");
            Finding::fail(subject, format!("{address} is bound to {driver}{lost}"), fix)
        }
    }
}

/// vfio hands out IOMMU groups as a whole: a card whose neighbour the kernel still drives cannot be opened.
fn group(machine: &Machine, port: &PortConfig, address: &PciAddress) -> Option<Finding> {
    let driver = machine.link_name(format!("{DEVICES}/{address}/driver"));
    let shared = machine.list(format!("{DEVICES}/{address}/iommu_group/devices"));
    let in_the_way = shared.into_iter().filter(|other| other != address.as_str()).find(|other| {
        let driver = machine.link_name(format!("{DEVICES}/{other}/driver"));
        driver.is_some_and(|driver| driver != "vfio-pci" && driver != "pcieport")
    })?;
    (driver.as_deref() == Some("vfio-pci")).then(|| {
        let message = format!("{address} shares its IOMMU group with {in_the_way}, which the kernel drives");
        Finding::fail(
            format!("port {}", port.name),
            message,
            format!("sudo dpdk-devbind.py --bind=vfio-pci {in_the_way}"),
        )
    })
}

/// A worker far from its card fetches every packet across the interconnect.
fn numa(machine: &Machine, config: Option<&FilterConfig>, port: &PortConfig, address: &PciAddress) -> Option<Finding> {
    let cores = config?.workers.cores.as_ref()?;
    // -1 on machines with a single node.
    let node = machine.number(format!("{DEVICES}/{address}/numa_node"))?;
    let near = machine.read(format!("sys/devices/system/node/node{node}/cpulist"))?;
    let near_cores = super::parse_list(&near);
    let far: Vec<_> = cores.iter().filter(|core| !near_cores.contains(core)).map(ToString::to_string).collect();
    if far.is_empty() {
        return None;
    }
    let message = format!("{address} is at NUMA node {node}, and core {} is not", far.join(", "));
    let fix = format!("choose workers.cores from {near}");
    Some(Finding::warn(format!("port {}", port.name), message, fix))
}

fn network_cards(machine: &Machine) -> Vec<String> {
    let is_network_card = |address: &String| {
        machine.read(format!("{DEVICES}/{address}/class")).is_some_and(|class| class.starts_with(NETWORK_CLASS))
    };
    machine.list(DEVICES).into_iter().filter(is_network_card).collect()
}

const DEVICES: &str = "sys/bus/pci/devices";

/// The PCI base class of network controllers.
const NETWORK_CLASS: &str = "0x02";

/// Drivers of the kernel that DPDK works beside.
const KEEPS_ITS_DRIVER: [&str; 3] = ["mlx5_core", "mlx4_core", "mana"];
const UIO: [&str; 2] = ["igb_uio", "uio_pci_generic"];

const TURN_ON: &str = "turn it on in the firmware (VT-d, AMD-Vi), add intel_iommu=on iommu=pt (on AMD: iommu=pt) to the kernel's command line, reboot";
