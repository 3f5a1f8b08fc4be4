//! Finds the installed DPDK, compiles the shim against it, and generates the bindings.
//!
//! The compiler flags are pkg-config's, word for word: they hold the `-march` and the `rte_config.h` that DPDK itself
//! was built with, and inline functions compiled with others would disagree with the library about layouts.

use std::env;
use std::path::PathBuf;
use std::process::{Command, exit};

fn main() {
    println!("cargo::rerun-if-changed=csrc");
    for variable in ["PKG_CONFIG", "PKG_CONFIG_PATH", "PKG_CONFIG_LIBDIR", "LIBCLANG_PATH", NO_DPDK] {
        println!("cargo::rerun-if-env-changed={variable}");
    }

    let version = version();
    let flags = pkg_config(&["--cflags", "libdpdk"]).unwrap_or_else(|problem| fail(&problem));
    compile_shim(&flags);
    generate_bindings(&flags);
    link();
    println!("cargo::metadata=version={version}");
    println!("cargo::rustc-env=PHOTONGATE_DPDK_VERSION={version}");
}

/// The installed version, checked against the range that the shim covers.
fn version() -> String {
    let version = pkg_config(&["--modversion", "libdpdk"]).unwrap_or_else(|problem| {
        fail_with(&problem, &format!("DPDK's development files are missing. To install them: {INSTALL}"))
    });
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    let release = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if release < OLDEST {
        fail(&format!(
            "DPDK {version} is too old, 22.11 to 24.11 are supported; Debian 12 and Ubuntu 24.04 have one: {INSTALL}"
        ));
    }
    if release > NEWEST {
        println!("cargo::warning=DPDK {version} is newer than the versions this crate is tested with (22.11 to 24.11)");
    }
    version
}

fn compile_shim(flags: &str) {
    let mut build = cc::Build::new();
    build.file("csrc/shim.c").warnings(true).extra_warnings(true).opt_level(3);
    // The headers are DPDK's affair: as system headers they cannot warn.
    for flag in as_system_includes(flags) {
        build.flag(flag);
    }
    if let Err(problem) = build.try_compile("photongate_dpdk_shim") {
        let advice = format!("csrc/shim.c does not compile; a C compiler and DPDK's headers are needed: {INSTALL}");
        fail_with(&problem, &advice);
    }
}

fn generate_bindings(flags: &str) {
    // bindgen panics when it finds no libclang. One sentence says more than its backtrace.
    std::panic::set_hook(Box::new(|_| {}));
    let generated = std::panic::catch_unwind(|| {
        bindgen::Builder::default()
            .header("csrc/shim.h")
            .clang_args(as_system_includes(flags))
            .allowlist_function(FUNCTIONS.join("|"))
            .allowlist_type(TYPES)
            .allowlist_var(CONSTANTS)
            .allowlist_recursively(false)
            .raw_line(OPAQUE.map(opaque_declaration).concat())
            .default_enum_style(bindgen::EnumVariation::Consts)
            .prepend_enum_name(false)
            .derive_default(true)
            .generate_comments(false)
            .generate()
    });
    let _ = std::panic::take_hook();
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("bindings.rs");
    match generated {
        Ok(Ok(bindings)) => bindings
            .write_to_file(&out)
            .unwrap_or_else(|problem| fail(&format!("cannot write {}: {problem}", out.display()))),
        Ok(Err(problem)) => {
            let advice = format!("bindgen cannot read DPDK's headers. If they are incomplete, install them: {INSTALL}");
            fail_with(&problem, &advice)
        }
        Err(_) => {
            fail(&format!("libclang, which bindgen reads DPDK's headers with, is missing. To install it: {INSTALL}"))
        }
    }
}

/// A type that Rust sees only behind pointers that C made: it has no size to rely on, and is neither `Send`, `Sync`
/// nor `Unpin`.
fn opaque_declaration(name: &str) -> String {
    let marker = "::core::marker::PhantomData<(*mut u8, ::core::marker::PhantomPinned)>";
    format!("#[repr(C)] pub struct {name} {{ data: [u8; 0], marker: {marker} }}\n")
}

/// Links the shared libraries that hold what the allow-list names.
///
/// Not the poll-mode drivers and mempool handlers: DPDK loads them at start from the plug-in directory compiled into
/// it. That is also why there is no static variant. Nothing refers to a driver, so the linker would drop it from an
/// archive, and no port and no mempool could be made; every archive would have to be linked whole, with libraries
/// that distributions do not all ship.
fn link() {
    let flags = pkg_config(&["--libs", "libdpdk"]).unwrap_or_else(|problem| fail(&problem));
    for flag in flags.split_whitespace() {
        if let Some(directory) = flag.strip_prefix("-L") {
            println!("cargo::rustc-link-search=native={directory}");
        } else if let Some(library) = flag.strip_prefix("-l").filter(|library| LIBRARIES.contains(library)) {
            println!("cargo::rustc-link-lib=dylib={library}");
        }
    }
}

fn as_system_includes(flags: &str) -> Vec<String> {
    flags
        .split_whitespace()
        .flat_map(|flag| match flag.strip_prefix("-I") {
            Some(directory) => vec!["-isystem".to_owned(), directory.to_owned()],
            None => vec![flag.to_owned()],
        })
        .collect()
}

/// What pkg-config prints, or why it does not.
fn pkg_config(arguments: &[&str]) -> Result<String, String> {
    if env::var_os(NO_DPDK).is_some() {
        return Err(format!("{NO_DPDK} is set"));
    }
    let program = env::var("PKG_CONFIG").unwrap_or_else(|_| "pkg-config".to_owned());
    let output = Command::new(&program)
        .args(arguments)
        .output()
        .map_err(|problem| format!("cannot run {program}: {problem}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}

/// Ends the build with this message alone. Cargo counts the error itself; a failing exit status would add everything
/// that was printed before.
fn fail(message: &str) -> ! {
    println!("cargo::error={message}");
    exit(0)
}

/// As [`fail`], after what a tool said.
fn fail_with(output: &dyn std::fmt::Display, message: &str) -> ! {
    for line in output.to_string().lines() {
        println!("cargo::error={line}");
    }
    fail(message)
}

/// If it is set, DPDK is not looked for. The crate `pkg-config`, which the program's own build script uses, knows it by this name too.
const NO_DPDK: &str = "LIBDPDK_NO_PKG_CONFIG";

const OLDEST: (u32, u32) = (22, 11);
const NEWEST: (u32, u32) = (24, 11);

const INSTALL: &str = "sudo apt-get install libdpdk-dev libclang-dev pkg-config gcc";

/// The libraries that hold `FUNCTIONS`, in any of the versions: `rte_log` was split from `rte_eal` in 23.11.
const LIBRARIES: [&str; 9] = [
    "rte_eal",
    "rte_log",
    "rte_ethdev",
    "rte_mbuf",
    "rte_mempool",
    "rte_ring",
    "rte_rcu",
    "rte_ip_frag",
    "rte_telemetry",
];

const FUNCTIONS: &[&str] = &[
    "pg_.*",
    "rte_version",
    "rte_eal_init",
    "rte_eal_get_runtime_dir",
    "rte_get_tsc_hz",
    "rte_get_main_lcore",
    "rte_get_next_lcore",
    "rte_lcore_to_socket_id",
    "rte_eal_remote_launch",
    "rte_eal_wait_lcore",
    "rte_dev_probe",
    "rte_eal_hotplug_remove",
    "rte_pktmbuf_pool_create",
    "rte_pktmbuf_free_bulk",
    "rte_pktmbuf_copy",
    "rte_mempool_avail_count",
    "rte_eth_dev_get_port_by_name",
    "rte_eth_find_next",
    "rte_eth_dev_start",
    "rte_eth_dev_stop",
    "rte_eth_dev_close",
    "rte_eth_dev_set_mtu",
    "rte_eth_promiscuous_enable",
    "rte_eth_promiscuous_disable",
    "rte_eth_dev_adjust_nb_rx_tx_desc",
    "rte_eth_stats_get",
    "rte_eth_xstats_get",
    "rte_eth_xstats_get_names",
    "rte_ring_free",
    "rte_rcu_qsbr_get_memsize",
    "rte_rcu_qsbr_init",
    "rte_rcu_qsbr_thread_register",
    "rte_rcu_qsbr_thread_unregister",
    "rte_ip_frag_table_create",
    "rte_ip_frag_table_destroy",
    "rte_ip_frag_free_death_row",
    "rte_ip_frag_table_del_expired_entries",
    "rte_telemetry_register_cmd",
    "rte_tel_data_start_dict",
    "rte_tel_data_add_array_string",
    "rte_tel_data_add_dict_string",
    "rte_tel_data_add_dict_container",
    "rte_tel_data_alloc",
    "rte_tel_data_free",
];

const TYPES: &str =
    "pg_.*|lcore_function_t|telemetry_cb|rte_eth_stats|rte_eth_xstat|rte_eth_xstat_name|rte_ip_frag_death_row";

const CONSTANTS: &str = "PG_.*|RTE_LOG_.*|RTE_MAX_LCORE|RTE_MAX_ETHPORTS\
    |RTE_MEMPOOL_CACHE_MAX_SIZE|RTE_LIBRTE_IP_FRAG_MAX_FRAG";

const OPAQUE: [&str; 6] = ["rte_mbuf", "rte_mempool", "rte_ring", "rte_rcu_qsbr", "rte_ip_frag_tbl", "rte_tel_data"];
