//! What all servers of this program do alike: threads, signals, and telling systemd.

use photongate_net::Shutdown;
use sd_notify::NotifyState;
use tokio::runtime::Builder;

use crate::failure::Failure;

/// Runs `serve` on a runtime with these threads. It returns when it has stopped, which the [`Shutdown`] tells it to.
///
/// # Errors
/// Signals or threads are not to be had; or what `serve` returns.
pub(crate) fn run(
    threads: &mut Builder,
    serve: impl AsyncFnOnce(Shutdown) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let no_signals = |error| Failure::at_run_time(format!("signals cannot be handled: {error}"));
    let shutdown = Shutdown::install().map_err(no_signals)?;
    let no_threads = |error| Failure::at_run_time(format!("no threads can be started: {error}"));
    let runtime = threads.enable_all().build().map_err(no_threads)?;
    runtime.block_on(serve(shutdown))?;
    tracing::info!("stopped");
    Ok(())
}

/// Tells systemd that everything is up.
pub(crate) fn tell_ready() {
    // Without systemd there is nobody to tell.
    let _ = sd_notify::notify(&[NotifyState::Ready]);
}

/// Waits until somebody asks the process to stop.
pub(crate) async fn asked_to_stop(shutdown: &Shutdown) {
    shutdown.wait().await;
    tracing::info!("stopping");
}
