//! The threads that a program's tasks run on.

use std::io;

use tokio::runtime::{Builder, Runtime};

/// How much nicer than the log's writer the threads of a server are: the system gives the writer, and a
/// Postgres on the same machine, three times their share where processors are busy.
#[cfg(target_os = "linux")]
const NICER: i32 = 5;

/// The runtime of a program. The threads of one that serves give way to the log's writer, which has a thread of
/// its own, and to a Postgres on the same machine: all requests wait for these two, and where the requests'
/// own work keeps the processors busy, a batch waits longest for its turn on one of them.
pub(super) fn runtime(serves: bool) -> io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    builder.enable_all();
    if serves {
        builder.on_thread_start(give_way);
    }
    builder.build()
}

/// Only Linux has priorities of threads. Where it is refused, all are served as before, and only later.
fn give_way() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(NICER);
}
