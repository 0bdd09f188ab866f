//! Long work and waits that do not keep a tokio worker from its other tasks.

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

/// Runs what may wait for a device or take long. A worker of a runtime hands its queue over to another thread first; any
/// other thread simply runs it.
pub fn relieving_worker<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => block_in_place(work),
        _ => work(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    #[test]
    fn the_only_worker_serves_others_meanwhile() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let (sender, receiver) = channel();
        let waiting = runtime.spawn(async move {
            Handle::current().spawn(async move { sender.send(7) });
            relieving_worker(|| receiver.recv_timeout(LIMIT))
        });
        assert_eq!(runtime.block_on(waiting).unwrap(), Ok(7));
    }

    #[test]
    fn any_other_thread_runs_it() {
        assert_eq!(relieving_worker(|| 7), 7);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(runtime.block_on(async { relieving_worker(|| 7) }), 7);
    }
}
