//! From the configuration to what the filter is started with.

use photongate_agent::as_list::AsList;
use photongate_filter::{
    ControlSocketOptions, Device, DpdkOptions, FilterOptions, MemoryOptions, PortOptions, WorkerOptions,
};
use photongate_net::now;
use photongate_pipeline::Settings;

use crate::config::{self, DEFAULT_SOCKET, FilterConfig};
use crate::settings::pipeline_settings;

/// The options that `config` stands for, with traffic directed to the peers of `list`, whose keys come later.
///
/// # Errors
/// What the configuration's own checks leave to the start: replay filters that do not fit.
pub(super) fn from_config(config: &FilterConfig, list: &AsList) -> Result<FilterOptions, String> {
    let settings = Settings {
        routes: list.routes(),
        best_effort_refusals: list.refuses_best_effort(),
        accept_lf2: list.accepts_lf2(),
        ..pipeline_settings(config, now())
    };
    let workers = config.workers.count;
    let duplicates = config.duplicates.as_ref();
    let duplicates = duplicates.map(|duplicates| duplicates.sizing(config.keys.times.time_threshold, workers));
    let options = FilterOptions {
        settings,
        ports: config.ports.iter().map(port).collect(),
        peers: Vec::new(),
        // While lists change, the peers of both are in the dictionary.
        max_peers: config.keys.max_peers.saturating_mul(2),
        duplicates: duplicates.transpose().map_err(|error| error.to_string())?,
        workers: WorkerOptions {
            count: workers,
            cores: config.workers.cores.clone(),
            burst: config.workers.burst,
            adaptive_polling: config.workers.adaptive_polling,
            backend: config.workers.crypto,
        },
        memory: MemoryOptions {
            hugepages: config.memory.hugepages,
            mib: config.memory.mib,
            buffers: config.memory.buffers,
        },
        dpdk: DpdkOptions {
            telemetry: !config.dpdk.arguments.iter().any(|argument| argument == "--no-telemetry"),
            name: config.dpdk.name.clone(),
            arguments: config.dpdk.arguments.clone(),
        },
        control: ControlSocketOptions {
            is_required: config.control.socket.is_some(),
            path: Some(config.control.socket.clone().unwrap_or_else(|| DEFAULT_SOCKET.into())),
        },
    };
    Ok(options)
}

fn port(port: &config::PortConfig) -> PortOptions {
    let device = match port.device.pci() {
        Some(address) => {
            Device::Pci { address: address.as_str().to_owned(), arguments: port.device.arguments().to_owned() }
        }
        None => Device::Virtual(port.device.arguments().to_owned()),
    };
    PortOptions { device, exception: port.exception.clone(), checksum_offload: port.checksum_offload }
}
