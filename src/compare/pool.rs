//! Runs side by side on one device: a thread each, which share its queue and its pipelines.

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::images::data_key;
use super::worker::{Outcome, Run, Task};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::run::load_data;
use crate::train::{Session, TrainOptions};

/// Bytes that the sessions which are open together may take on the device, by the estimate of [`bytes`]; one session
/// is always taken.
const ROOM: u64 = 4 << 30;

/// What is told of the runs; `at` is a run's place among the tasks.
#[derive(Debug)]
pub enum Event {
    /// It begins, or goes on, at this step.
    Began {
        /// The run.
        at: usize,
        /// Steps that it has done.
        step: u32,
    },
    /// It has made this step.
    Step {
        /// The run.
        at: usize,
        /// Steps that it has done.
        step: u32,
    },
    /// It has ended.
    Ended {
        /// The run.
        at: usize,
        /// How.
        outcome: Box<Outcome>,
    },
    /// It was stopped, with a checkpoint.
    Stopped {
        /// The run.
        at: usize,
    },
    /// It could not be trained.
    Failed {
        /// The run.
        at: usize,
        /// Why.
        error: Error,
    },
}

/// Data sets by the options that say what they hold, while somebody uses them.
type Kept = HashMap<String, Dataset>;

/// What the threads share.
struct Shared<'a> {
    gpu: &'a Arc<Gpu>,
    tasks: &'a [Task],
    stop: &'a AtomicBool,
    /// Something that would befall every run has happened.
    halt: AtomicBool,
    waiting: Mutex<VecDeque<usize>>,
    /// One session is opened at a time, so that pipelines that several need are built once.
    opening: Mutex<Kept>,
    /// Bytes of the open sessions, their number, and the largest so far.
    room: Mutex<(u64, usize, u64)>,
    freed: Condvar,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes that `session` takes on the device: activations, five arenas as large as its parameters, its images.
fn bytes(session: &Session) -> u64 {
    let images = &session.data().train;
    let resident = match session.streams() {
        true => 0,
        false => images.len() as u64 * images.stride() as u64,
    };
    session.plan().activation_bytes() + 5 * 4 * session.parameter_count() as u64 + resident
}

/// The tasks in the order in which they are trained: seed by seed, so that every method is seen early and each data
/// set is read once.
fn order(tasks: &[Task]) -> VecDeque<usize> {
    let mut order: Vec<usize> = (0..tasks.len()).collect();
    order.sort_by_key(|at| tasks[*at].options.seed);
    order.into()
}

/// Tasks and the device that trains them.
#[derive(Debug)]
pub struct Pool<'a> {
    /// The device.
    pub gpu: &'a Arc<Gpu>,
    /// The runs.
    pub tasks: &'a [Task],
    /// Runs side by side at most.
    pub jobs: usize,
    /// Set from outside to stop in order.
    pub stop: &'a AtomicBool,
}

impl Pool<'_> {
    /// Trains all tasks. Each is bit for bit what it would be alone. Those that diverge or cannot be trained do not
    /// stop the others, but for an error of the device or of a file.
    pub fn run(&self, mut tell: impl FnMut(Event)) {
        let shared = Shared {
            gpu: self.gpu,
            tasks: self.tasks,
            stop: self.stop,
            halt: AtomicBool::new(false),
            waiting: Mutex::new(order(self.tasks)),
            opening: Mutex::default(),
            room: Mutex::default(),
            freed: Condvar::new(),
        };
        let (sender, events) = channel();
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.clamp(1, self.tasks.len().max(1)) {
                let (shared, sender) = (&shared, sender.clone());
                scope.spawn(move || shared.work(&sender));
            }
            drop(sender);
            events.iter().for_each(&mut tell);
        });
    }
}

impl Shared<'_> {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst) || self.halt.load(Ordering::SeqCst)
    }

    /// Trains one waiting task after the other.
    fn work(&self, events: &Sender<Event>) {
        // The receiver outlives the threads.
        let tell = |event| drop(events.send(event));
        while !self.stopped() {
            let kept = locked(&self.opening);
            self.wait_for_room();
            let next = locked(&self.waiting).pop_front();
            let Some(at) = next.filter(|_| !self.stopped()) else {
                return;
            };
            match self.train(at, kept, &tell) {
                Ok(Some(outcome)) => tell(Event::Ended {
                    at,
                    outcome: Box::new(outcome),
                }),
                Ok(None) => tell(Event::Stopped { at }),
                Err(error) => {
                    let all = matches!(
                        error,
                        Error::DeviceLost(_) | Error::Gpu { .. } | Error::File { .. }
                    );
                    if all {
                        self.halt.store(true, Ordering::SeqCst);
                    }
                    tell(Event::Failed { at, error });
                }
            }
        }
    }

    fn wait_for_room(&self) {
        let room = locked(&self.room);
        let full = |(used, open, largest): &mut (u64, usize, u64)| {
            *open > 0 && *used + *largest > ROOM && !self.stopped()
        };
        drop(self.freed.wait_while(room, full));
    }

    fn train(
        &self,
        at: usize,
        mut kept: MutexGuard<'_, Kept>,
        tell: &dyn Fn(Event),
    ) -> Result<Option<Outcome>> {
        let task = &self.tasks[at];
        let data = data(&mut kept, &task.options, &task.dir)?;
        let run = Run::open(self.gpu, task, data)?;
        let step = run.run.session.steps_done();
        tell(Event::Began { at, step });
        let bytes = bytes(&run.run.session);
        {
            let mut room = locked(&self.room);
            *room = (room.0 + bytes, room.1 + 1, room.2.max(bytes));
        }
        drop(kept);
        let either = AtomicBool::new(false);
        let mut step = |step| {
            either.store(self.stopped(), Ordering::SeqCst);
            tell(Event::Step { at, step });
        };
        let result = pollster::block_on(run.go(&either, &mut step));
        let mut room = locked(&self.room);
        (room.0, room.1) = (room.0 - bytes, room.1 - 1);
        self.freed.notify_all();
        result
    }
}

/// The images of `options`, read once for all runs that have the same; those that nobody else holds any more are let go.
fn data(kept: &mut Kept, options: &TrainOptions, near: &Path) -> Result<Dataset> {
    let key = data_key(options);
    if let Some(data) = kept.get(&key) {
        data.check_size(options.model.granularity())?;
        return Ok(data.clone());
    }
    kept.retain(|_, data| Arc::strong_count(&data.train) > 1);
    let data = load_data(options, None, near)?;
    kept.insert(key, data.clone());
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_come_one_after_the_other() {
        let task = |seed| Task {
            name: String::new(),
            dir: "x".into(),
            options: TrainOptions {
                seed,
                ..TrainOptions::default()
            },
        };
        let tasks = [0, 1, 0, 1].map(task);
        assert_eq!(order(&tasks), [0, 2, 1, 3]);
    }
}
