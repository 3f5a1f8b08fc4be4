//! What drives a port: a network card on the PCI bus, or one of DPDK's virtual devices.

use std::fmt;

use photongate_net::config::{FromValue, Reported, Value};

/// A device as DPDK is told about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    /// As the operator wrote it: DPDK's device name and arguments.
    text: String,
    pci: Option<PciAddress>,
}

/// A place on the PCI bus: domain, bus, device and function, like `0000:3b:00.0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PciAddress(String);

impl Device {
    /// Name and arguments, as DPDK's `--allow` (for a PCI device) and `--vdev` (for a virtual one) take them.
    pub(crate) fn arguments(&self) -> &str {
        &self.text
    }

    /// The name that DPDK knows the device by: a PCI address in full, or a virtual device's name like `net_tap0`.
    pub(crate) fn name(&self) -> &str {
        self.pci.as_ref().map_or_else(|| first_word(&self.text), |address| &address.0)
    }

    /// Where on the PCI bus it is; `None` for a virtual device.
    pub(crate) fn pci(&self) -> Option<&PciAddress> {
        self.pci.as_ref()
    }

    /// The driver of a virtual device, like `net_tap`.
    pub(crate) fn driver(&self) -> Option<&str> {
        self.pci.is_none().then(|| self.name().trim_end_matches(|last: char| last.is_ascii_digit()))
    }

    /// The kernel interface named in the arguments: `net_tap` makes it, `net_af_packet` and `net_af_xdp` use it.
    pub(crate) fn interface(&self) -> Option<&str> {
        self.text.split(',').skip(1).find_map(|argument| argument.strip_prefix("iface="))
    }

    /// The kernel interface that DPDK makes for the device.
    pub(crate) fn new_interface(&self) -> Option<&str> {
        self.interface().filter(|_| self.driver() == Some(TAP))
    }
}

impl PciAddress {
    /// The address as the kernel writes it, domain included.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromValue for Device {
    const EXAMPLE: &'static str = "\"0000:3b:00.0\"";

    fn from_value(value: &Value<'_>) -> Result<Self, Reported> {
        let text = value.text()?;
        let name = first_word(text);
        if let Some(address) = pci_address(name) {
            return Ok(Self { text: text.to_owned(), pci: Some(address) });
        }
        if !name.starts_with("net_") {
            return Err(value.refuse(
                "is no device: write a PCI address like 0000:3b:00.0 (`dpdk-devbind.py --status-dev net` lists them), \
                 or one of DPDK's virtual devices like net_tap0,iface=pg0 or net_af_packet0,iface=eth0",
            ));
        }
        if !name.ends_with(|last: char| last.is_ascii_digit()) {
            return Err(value.refuse(format!("needs a number, to tell it from others of its kind: write {name}0")));
        }
        let device = Self { text: text.to_owned(), pci: None };
        if let Some(interface) = device.interface() {
            super::interface_name(interface)
                .map_err(|why| value.refuse(format!("names {interface:?}, which {why}")))?;
        }
        Ok(device)
    }
}

/// Reads `3b:00.0` and `0000:3b:00.0`.
fn pci_address(text: &str) -> Option<PciAddress> {
    let (place, function) = text.rsplit_once('.')?;
    let parts: Vec<_> = place.split(':').collect();
    let (domain, bus, device) = match parts[..] {
        [domain, bus, device] => (domain, bus, device),
        [bus, device] => ("0000", bus, device),
        _ => return None,
    };
    let hex = |text: &str, length| text.len() == length && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    let valid = hex(domain, 4) && hex(bus, 2) && hex(device, 2) && function.len() == 1 && "01234567".contains(function);
    valid.then(|| PciAddress(format!("{domain}:{bus}:{device}.{function}").to_ascii_lowercase()))
}

fn first_word(text: &str) -> &str {
    text.split(',').next().unwrap_or(text)
}

const TAP: &str = "net_tap";
