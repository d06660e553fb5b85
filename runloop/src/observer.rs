//! Observers: closures that are told of the moments of a run.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use crate::activity::Activity;
use crate::core::{Observing, RunLoop};

/// A closure that is told of certain moments of a loop's runs.
///
/// It belongs to the thread that makes it and can be in several modes of that thread's loop. It is called in ascending
/// order of `order`, equal ones as they came into the mode, and it is not called again while it is being called: a nested run
/// skips it. Observers alone do not keep a mode from being empty.
///
/// Counterpart: `CFRunLoopObserver`.
///
/// ```
/// use runloop::{Activity, Limit, Mode, Observer, ReturnAfter, RunLoop};
///
/// let run_loop = RunLoop::current();
/// let observer = Observer::new(Activity::ENTRY | Activity::EXIT, 0, |_, activity| println!("{activity:?}"));
/// run_loop.add_observer(&observer, Mode::DEFAULT)?;
/// run_loop.perform(Mode::DEFAULT, |_| println!("working")).unwrap();
/// let _finished = run_loop.run_in_mode(Mode::DEFAULT, Limit::Never, ReturnAfter::Limit)?;
/// observer.invalidate();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Observer {
    cell: Rc<ObserverCell>,
}

impl Observer {
    /// An observer that is called at each of these moments until it is invalidated.
    ///
    /// Counterpart: `CFRunLoopObserverCreateWithHandler` with `repeats`.
    ///
    /// ```
    /// use runloop::{Activity, Observer};
    /// let observer = Observer::new(Activity::BEFORE_WAITING, 0, |_, _| println!("nothing to do"));
    /// assert!(observer.is_valid());
    /// ```
    pub fn new(
        activities: Activity,
        order: i32,
        callback: impl FnMut(&RunLoop, Activity) + 'static,
    ) -> Self {
        Self::make(activities, order, true, Box::new(callback))
    }

    /// An observer that is called at the first of these moments only, and is invalid once its closure has returned.
    ///
    /// Counterpart: `CFRunLoopObserverCreateWithHandler` without `repeats`.
    ///
    /// ```
    /// use runloop::{Activity, Observer};
    /// let observer = Observer::once(Activity::ENTRY, 0, |_, _| println!("begun"));
    /// assert!(!observer.repeats());
    /// ```
    pub fn once(
        activities: Activity,
        order: i32,
        callback: impl FnMut(&RunLoop, Activity) + 'static,
    ) -> Self {
        Self::make(activities, order, false, Box::new(callback))
    }

    /// The moments it watches (`CFRunLoopObserverGetActivities`).
    #[must_use]
    pub fn activities(&self) -> Activity {
        self.cell.activities
    }

    /// Its place among the observers of a mode (`CFRunLoopObserverGetOrder`).
    #[must_use]
    pub fn order(&self) -> i32 {
        self.cell.order
    }

    /// Whether it is called more than once (`CFRunLoopObserverDoesRepeat`).
    #[must_use]
    pub fn repeats(&self) -> bool {
        self.cell.repeats
    }

    /// Whether it can still be called (`CFRunLoopObserverIsValid`).
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.cell.valid.get()
    }

    /// Ends it: it is never called again, leaves every mode, and lets go of its closure, now or, if the closure is
    /// running, when that has returned. Doing it again changes nothing.
    ///
    /// Counterpart: `CFRunLoopObserverInvalidate`.
    pub fn invalidate(&self) {
        self.cell.invalidate();
        RunLoop::current().unseat(&self.as_observing());
    }

    pub(crate) fn as_observing(&self) -> Rc<dyn Observing> {
        Rc::<ObserverCell>::clone(&self.cell)
    }

    fn make(activities: Activity, order: i32, repeats: bool, callback: Callback) -> Self {
        let cell = ObserverCell {
            activities,
            order,
            repeats,
            valid: Cell::new(true),
            callback: RefCell::new(Some(callback)),
        };
        Self {
            cell: Rc::new(cell),
        }
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observer")
            .field("activities", &self.cell.activities)
            .field("order", &self.cell.order)
            .field("repeats", &self.cell.repeats)
            .field("valid", &self.cell.valid.get())
            .finish()
    }
}

type Callback = Box<dyn FnMut(&RunLoop, Activity)>;

struct ObserverCell {
    activities: Activity,
    order: i32,
    repeats: bool,
    valid: Cell<bool>,
    /// `None` while it is running, and once the observer is invalid.
    callback: RefCell<Option<Callback>>,
}

impl Observing for ObserverCell {
    fn activities(&self) -> Activity {
        self.activities
    }

    fn is_valid(&self) -> bool {
        self.valid.get()
    }

    fn observe(&self, rl: &RunLoop, activity: Activity) {
        let Some(callback) = self.callback.take() else {
            return;
        };
        let mut running = Running {
            cell: self,
            callback: Some(callback),
            panicked: true,
        };
        if let Some(callback) = &mut running.callback {
            callback(rl, activity);
        }
        running.panicked = false;
        if !self.repeats {
            self.valid.set(false);
        }
    }

    fn invalidate(&self) {
        self.valid.set(false);
        let callback = self.callback.take();
        drop(callback);
    }
}

/// The closure while it runs. It goes back where it was unless the observer has become invalid; if it panicked, the
/// observer is.
struct Running<'a> {
    cell: &'a ObserverCell,
    callback: Option<Callback>,
    /// Until it has returned. That the thread is panicking says nothing: a destructor may run the loop on the way.
    panicked: bool,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if self.panicked {
            self.cell.valid.set(false);
        }
        if self.cell.valid.get() {
            self.cell.callback.replace(self.callback.take());
        }
    }
}
