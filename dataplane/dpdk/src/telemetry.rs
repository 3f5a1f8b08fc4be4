//! Commands under DPDK's telemetry socket (`dpdk-telemetry.py` asks them).

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use nix::libc;
use photongate_dpdk_sys as sys;

use crate::{Eal, Errno};

/// Has `answer` answer the command `name`, such as `/photongate/counters`. It is given what follows the comma in the
/// request, and is called on a thread of DPDK's. DPDK has no way to take a command back.
///
/// # Errors
/// [`TelemetryError`] when the name is not possible, or taken.
pub fn register(
    _eal: Eal,
    name: &str,
    help: &str,
    answer: impl Fn(&str) -> Answer + Send + Sync + 'static,
) -> Result<(), TelemetryError> {
    let invalid = |errno| TelemetryError { name: name.to_owned(), errno };
    let zero_byte = |_| invalid(Errno::new(libc::EINVAL));
    let raw_name = CString::new(name).map_err(zero_byte)?;
    let raw_help = CString::new(help).map_err(zero_byte)?;
    let mut commands = COMMANDS.lock().unwrap_or_else(PoisonError::into_inner);
    if commands.contains_key(name) {
        return Err(invalid(Errno::new(libc::EEXIST)));
    }
    // SAFETY: the environment is up, as `_eal` shows; DPDK copies both texts, and `respond` may be called at any time.
    let status = unsafe { sys::rte_telemetry_register_cmd(raw_name.as_ptr(), Some(respond), raw_help.as_ptr()) };
    Errno::check(status).map_err(invalid)?;
    commands.insert(name.to_owned(), Arc::new(answer));
    Ok(())
}

/// What a command answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Names with values, at most 256 of them. Names are of letters, digits, `_` and `/`, at most 63 of these.
    Dict(Vec<(String, Value)>),
    /// A list of numbers, at most 512.
    Numbers(Vec<u64>),
    /// A list of texts, at most 512.
    Texts(Vec<String>),
}

/// A value in an [`Answer::Dict`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number.
    Number(u64),
    /// A text; DPDK cuts it after 127 bytes.
    Text(String),
    /// Names with numbers, below a name.
    Dict(Vec<(String, u64)>),
}

/// A command that DPDK does not take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("DPDK does not take the telemetry command {name}: {errno}")]
pub struct TelemetryError {
    /// The command.
    pub name: String,
    /// DPDK's reason.
    pub errno: Errno,
}

/// DPDK's call for every command: it passes no pointer of ours before 24.11, so the command's name finds the function.
unsafe extern "C" fn respond(command: *const c_char, parameters: *const c_char, data: *mut sys::rte_tel_data) -> c_int {
    let answer = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: DPDK passes the command as terminated text that lives until this returns.
        let command = unsafe { text(command) };
        // SAFETY: the same for the parameters, or null without any.
        let parameters = unsafe { text(parameters) };
        let answer = COMMANDS.lock().unwrap_or_else(PoisonError::into_inner).get(command).cloned();
        answer.map(|answer| answer(parameters))
    }));
    let Ok(Some(answer)) = answer else { return -libc::EINVAL };
    // SAFETY: DPDK passes an answer to fill in, which lives until this returns.
    match unsafe { fill(data, &answer) } {
        Ok(()) => 0,
        Err(errno) => -errno.number(),
    }
}

/// # Safety
/// `data` is an answer that DPDK asks for.
unsafe fn fill(data: *mut sys::rte_tel_data, answer: &Answer) -> Result<(), Errno> {
    match answer {
        Answer::Dict(values) => {
            // SAFETY: the caller's promise.
            Errno::check(unsafe { sys::rte_tel_data_start_dict(data) })?;
            for (name, value) in values {
                // SAFETY: the caller's promise.
                unsafe { add(data, &raw_text(name)?, value)? };
            }
        }
        Answer::Numbers(numbers) => {
            // SAFETY: the caller's promise.
            Errno::check(unsafe { sys::pg_telemetry_array_u64(data) })?;
            for &number in numbers {
                // SAFETY: the caller's promise.
                Errno::check(unsafe { sys::pg_telemetry_add_array_u64(data, number) })?;
            }
        }
        Answer::Texts(texts) => {
            // SAFETY: the caller's promise.
            Errno::check(unsafe { sys::pg_telemetry_array_string(data) })?;
            for text in texts {
                let text = raw_text(text)?;
                // SAFETY: the caller's promise; DPDK copies the text.
                cut_is_fine(unsafe { sys::rte_tel_data_add_array_string(data, text.as_ptr()) })?;
            }
        }
    }
    Ok(())
}

/// # Safety
/// `data` is an answer that DPDK asks for, started as a dictionary.
unsafe fn add(data: *mut sys::rte_tel_data, name: &CStr, value: &Value) -> Result<(), Errno> {
    match value {
        Value::Number(number) => {
            // SAFETY: the caller's promise; DPDK copies the name.
            Errno::check(unsafe { sys::pg_telemetry_add_dict_u64(data, name.as_ptr(), *number) }).map(drop)
        }
        Value::Text(text) => {
            let text = raw_text(text)?;
            // SAFETY: the caller's promise; DPDK copies both texts.
            cut_is_fine(unsafe { sys::rte_tel_data_add_dict_string(data, name.as_ptr(), text.as_ptr()) })
        }
        Value::Dict(numbers) => {
            // SAFETY: allocates.
            let inner = unsafe { sys::rte_tel_data_alloc() };
            // SAFETY: fresh; DPDK refuses null.
            Errno::check(unsafe { sys::rte_tel_data_start_dict(inner) })?;
            // SAFETY: `inner` is a dictionary, and DPDK copies the names. From here on it belongs to `data`, which
            // frees it when the answer has been sent, unless adding it fails.
            unsafe {
                let filled = numbers.iter().try_for_each(|(name, number)| {
                    Errno::check(sys::pg_telemetry_add_dict_u64(inner, raw_text(name)?.as_ptr(), *number)).map(drop)
                });
                let added = filled.and_then(|()| {
                    Errno::check(sys::rte_tel_data_add_dict_container(data, name.as_ptr(), inner, 0)).map(drop)
                });
                if added.is_err() {
                    sys::rte_tel_data_free(inner);
                }
                added
            }
        }
    }
}

/// DPDK reports a text that it cut, and goes on.
fn cut_is_fine(status: c_int) -> Result<(), Errno> {
    if status == -libc::E2BIG { Ok(()) } else { Errno::check(status).map(drop) }
}

fn raw_text(text: &str) -> Result<CString, Errno> {
    CString::new(text).map_err(|_| Errno::new(libc::EINVAL))
}

/// # Safety
/// Null, or terminated text that lives as long as the result is used.
unsafe fn text<'t>(raw: *const c_char) -> &'t str {
    if raw.is_null() {
        return "";
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(raw) }.to_str().unwrap_or_default()
}

type Command = Arc<dyn Fn(&str) -> Answer + Send + Sync>;

static COMMANDS: Mutex<BTreeMap<String, Command>> = Mutex::new(BTreeMap::new());
