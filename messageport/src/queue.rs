//! Queues on which ports call their handlers instead of in a run loop.

use crate::fork::forked;
use runloop::{Handle, Limit, Mode, ReturnAfter, RunLoop};
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Something that runs jobs, each once, later: a thread, a pool, another framework's loop.
///
/// Ready to use are [`SerialQueue`], a thread of its own; the [`Handle`](runloop::Handle) of a run loop, which runs jobs in
/// its common modes; and any closure that takes a [`Job`].
///
/// Counterpart: `dispatch_queue_t`; a run loop's handle for the main thread is the main queue.
///
/// ```
/// use messageport::{Job, Queue};
/// use std::sync::mpsc::{Sender, channel};
/// use std::sync::Mutex;
///
/// /// Jobs for whoever receives them.
/// struct Pool(Mutex<Sender<Job>>);
///
/// impl Queue for Pool {
///     fn dispatch(&self, job: Job) {
///         let sender = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
///         // A job that nobody receives is dropped, and offered again later.
///         sender.send(job).ok();
///     }
/// }
/// # let (jobs, _workers) = channel();
/// # drop(Pool(Mutex::new(jobs)));
/// ```
pub trait Queue: Send + Sync + 'static {
    /// Takes a job to run. Called from any thread; it must not wait for the job.
    ///
    /// A queue that cannot take it drops it. Nothing is lost by that: the port offers another one after a while.
    fn dispatch(&self, job: Job);
}

impl<F: Fn(Job) + Send + Sync + 'static> Queue for F {
    fn dispatch(&self, job: Job) {
        self(job);
    }
}

impl Queue for Handle {
    /// Has the loop run the job in its common modes.
    fn dispatch(&self, job: Job) {
        // What a loop does not take, because it is full or gone, is dropped.
        drop(self.perform(Mode::COMMON, move |_| job.run()));
    }
}

/// Something that a port wants run on its queue: the next message's handler, as a rule.
///
/// The message is still in its place until the job runs, so one that is dropped takes nothing with it.
///
/// ```
/// use messageport::{Job, LocalPort, PortOptions, RemotePort};
///
/// # let directory = { let path = std::env::temp_dir().join(format!("messageport-doc-{}", std::process::id())); std::fs::create_dir_all(&path)?; messageport::Directory::open(&path)? };
/// let options = PortOptions::new().in_directory(&directory).name("org.example.jobs");
/// let port = options.create_shared(|message| message.into_payload())?;
/// port.set_dispatch_queue(|job: Job| {
///     std::thread::spawn(|| job.run());
/// })?;
/// let remote = RemotePort::connect_in(&directory, "org.example.jobs")?;
/// assert_eq!(&remote.request(1, b"back")?[..], b"back");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a job that is dropped is offered again later"]
pub struct Job(Option<Arc<dyn Work>>);

impl Job {
    pub(crate) fn new(work: Arc<dyn Work>) -> Self {
        Self(Some(work))
    }

    /// Runs it, on this thread. A panic of the handler goes on from here.
    pub fn run(mut self) {
        if let Some(work) = self.0.take() {
            work.run();
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if let Some(work) = self.0.take().filter(|_| !forked()) {
            work.refused();
        }
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").finish_non_exhaustive()
    }
}

/// What a job does.
pub(crate) trait Work: Send + Sync {
    /// It runs.
    fn run(&self);

    /// It was dropped without having run.
    fn refused(&self);
}

/// A queue that is one thread: its jobs run one after the other. Clones are the same queue; the thread ends when the last
/// is dropped, after the job that it is at.
///
/// Counterpart: a serial `dispatch_queue_t`.
///
/// ```
/// use messageport::{PortOptions, RemotePort, SerialQueue};
///
/// # let directory = { let path = std::env::temp_dir().join(format!("messageport-doc-{}", std::process::id())); std::fs::create_dir_all(&path)?; messageport::Directory::open(&path)? };
/// let options = PortOptions::new().in_directory(&directory).name("org.example.worker");
/// let port = options.create_shared(|message| message.into_payload())?;
/// port.set_dispatch_queue(SerialQueue::new("worker")?)?;
/// let remote = RemotePort::connect_in(&directory, "org.example.worker")?;
/// assert_eq!(&remote.request(1, b"done elsewhere")?[..], b"done elsewhere");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SerialQueue(Arc<Worker>);

impl SerialQueue {
    /// A queue with a thread of this name.
    ///
    /// # Errors
    ///
    /// The system has no room for a thread, or this is a forked child.
    ///
    /// ```
    /// let queue = messageport::SerialQueue::new("worker")?;
    /// # drop(queue);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn new(name: &str) -> io::Result<Self> {
        Ok(Self(Arc::new(Worker(start(name)?))))
    }
}

impl Queue for SerialQueue {
    fn dispatch(&self, job: Job) {
        drop(self.0.0.perform(Mode::DEFAULT, move |_| {
            // What a handler does is its port's to answer for, and not the thread's.
            if catch_unwind(AssertUnwindSafe(|| job.run())).is_err() {
                tracing::error!("a handler on a serial queue has panicked");
            }
        }));
    }
}

/// The thread of a serial queue, which ends with this.
#[derive(Debug)]
struct Worker(Handle);

impl Drop for Worker {
    fn drop(&mut self) {
        // It may be this thread, so that nobody waits for it.
        self.0.stop().ok();
    }
}

/// Starts a thread that runs its loop's default mode until it is stopped.
pub(crate) fn start(name: &str) -> io::Result<Handle> {
    if forked() {
        return Err(io::Error::other("threads of a forked child have no ports"));
    }
    let (ready, started) = std::sync::mpsc::sync_channel(1);
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            let run_loop = RunLoop::current();
            if ready.send(run_loop.handle()).is_err() {
                return;
            }
            drop(ready);
            serve(&run_loop);
        })?;
    started.recv().map_err(io::Error::other)
}

/// Runs a loop's default mode until it is stopped.
fn serve(run_loop: &RunLoop) {
    loop {
        let run = || run_loop.wait_in_mode(Mode::DEFAULT, Limit::Never, ReturnAfter::Limit);
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(Ok(_stopped)) => return,
            Ok(Err(error)) => return tracing::error!(%error, "a thread of ports cannot wait"),
            // What a user's callback does is its own to answer for, and others have theirs on this thread.
            Err(_) => tracing::error!("a callback has panicked on a thread of ports"),
        }
    }
}
