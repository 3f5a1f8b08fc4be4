//! Polling threads: DPDK's lcores, each pinned to a processor when the environment is initialised.

use std::any::Any;
use std::ffi::{c_int, c_void};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use photongate_dpdk_sys as sys;

use crate::Eal;

/// A thread of DPDK's, by its number. The main one is 0, workers count from 1 in the order they were configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lcore(u32);

impl Lcore {
    /// The lcore this thread is, or `None` on a thread that DPDK did not start.
    pub fn current() -> Option<Self> {
        // SAFETY: reads a thread-local variable.
        let number = unsafe { sys::pg_lcore_id() };
        (number < sys::RTE_MAX_LCORE).then_some(Self(number))
    }

    /// Its number.
    pub fn number(self) -> u32 {
        self.0
    }

    /// The NUMA node of its processor.
    pub fn socket(self) -> u32 {
        // SAFETY: reads a table by index; an `Lcore` below RTE_MAX_LCORE is only made by this module.
        unsafe { sys::rte_lcore_to_socket_id(self.0) }
    }
}

impl fmt::Display for Lcore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lcore {}", self.0)
    }
}

impl Eal {
    /// The lcore that initialised the environment.
    pub fn main_lcore(self) -> Lcore {
        // SAFETY: reads the configuration, which is fixed once rte_eal_init has returned.
        Lcore(unsafe { sys::rte_get_main_lcore() })
    }

    /// The lcores that [`Eal::launch`] can use, in the order they were configured.
    pub fn workers(self) -> impl Iterator<Item = Lcore> {
        let next = |after: u32| {
            // SAFETY: reads the configuration, which is fixed once rte_eal_init has returned. Skips the main lcore,
            // does not wrap.
            let number = unsafe { sys::rte_get_next_lcore(after, 1, 0) };
            (number < sys::RTE_MAX_LCORE).then_some(number)
        };
        // DPDK adds one to the number given, and wraps to zero here.
        std::iter::successors(next(u32::MAX), move |&number| next(number)).map(Lcore)
    }

    /// Runs `work` on a worker lcore.
    ///
    /// # Errors
    /// [`LaunchError`] when the lcore is none of [`Eal::workers`], or still runs what it was last given.
    pub fn launch<F, T>(self, lcore: Lcore, work: F) -> Result<Worker<T>, LaunchError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        if !self.workers().any(|worker| worker == lcore) {
            return Err(LaunchError::NotAWorker { lcore });
        }
        let outcome = Arc::new(Outcome { value: Mutex::new(None), is_ready: Condvar::new() });
        let its_outcome = Arc::clone(&outcome);
        let task: Task = Box::new(move || {
            let result = catch_unwind(AssertUnwindSafe(work));
            *its_outcome.value.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
            its_outcome.is_ready.notify_all();
        });
        let argument = Box::into_raw(Box::new(task));

        // DPDK expects launches from one thread; this makes any thread do.
        let _one_at_a_time = LAUNCHING.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the lcore is a worker, as checked above, and `run` takes the box that `argument` points to exactly
        // once.
        let status = unsafe { sys::rte_eal_remote_launch(Some(run), argument.cast(), lcore.0) };
        if status != 0 {
            // SAFETY: the launch failed, so nobody else has the pointer that `Box::into_raw` gave.
            drop(unsafe { Box::from_raw(argument) });
            return Err(LaunchError::Busy { lcore });
        }
        Ok(Worker { lcore, outcome })
    }
}

/// Work that an lcore is doing. Dropping it lets the work go on.
#[must_use = "a panic of the worker is only seen by `join`"]
pub struct Worker<T> {
    lcore: Lcore,
    outcome: Arc<Outcome<T>>,
}

impl<T> Worker<T> {
    /// The lcore that does it.
    pub fn lcore(&self) -> Lcore {
        self.lcore
    }

    /// Whether [`Worker::join`] would return at once.
    pub fn is_finished(&self) -> bool {
        self.outcome.value.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Waits for the work to end, and returns what it returned.
    ///
    /// # Errors
    /// [`WorkerPanic`] when it panicked.
    pub fn join(self) -> Result<T, WorkerPanic> {
        let guard = self.outcome.value.lock().unwrap_or_else(PoisonError::into_inner);
        let mut guard =
            self.outcome.is_ready.wait_while(guard, |value| value.is_none()).unwrap_or_else(PoisonError::into_inner);
        let result = guard.take().expect("the wait ends when there is a value");
        // The work is over, so this only waits for DPDK to note it: it spins, which is why the condition variable
        // comes first.
        // SAFETY: `launch` checked that the lcore is a worker.
        unsafe { sys::rte_eal_wait_lcore(self.lcore.0) };
        result.map_err(|panic| WorkerPanic { lcore: self.lcore, message: message(panic.as_ref()) })
    }
}

/// Why nothing was launched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LaunchError {
    /// The lcore is not a worker of this process.
    #[error("{lcore} is not a worker of this process")]
    NotAWorker {
        /// The one asked for.
        lcore: Lcore,
    },
    /// The lcore still runs what it was last given.
    #[error("{lcore} is still running")]
    Busy {
        /// The one asked for.
        lcore: Lcore,
    },
}

/// A worker's panic, with the message it had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{lcore} panicked: {message}")]
pub struct WorkerPanic {
    /// Where it happened.
    pub lcore: Lcore,
    /// The panic's message.
    pub message: String,
}

struct Outcome<T> {
    value: Mutex<Option<std::thread::Result<T>>>,
    is_ready: Condvar,
}

type Task = Box<dyn FnOnce() + Send>;

unsafe extern "C" fn run(argument: *mut c_void) -> c_int {
    // SAFETY: `launch` passes a pointer from `Box::into_raw` of a `Box<Task>`, and DPDK calls this once for it.
    let task = unsafe { Box::from_raw(argument.cast::<Task>()) };
    // The task catches panics of the work; nothing unwinds from here into C.
    task();
    0
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

static LAUNCHING: Mutex<()> = Mutex::new(());
