//! Waiting in a browser. Firefox looks for finished work on a timer of 100 ms (Bugzilla 1870699), and at every
//! submission: so while something is pending, empty ones nudge it.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

/// Between two nudges. Browsers do not fire nested timers sooner.
const MILLISECONDS: u32 = 4;

/// What the waiting knows of time.
pub(super) trait Clock {
    /// Comes back after so many milliseconds.
    fn sleep(&self, milliseconds: u32) -> impl Future<Output = ()>;
}

/// Awaits `future`, with a `nudge` every few milliseconds as long as it is pending.
pub(super) async fn nudged<F: Future>(
    future: F,
    clock: &impl Clock,
    nudge: impl Fn(),
) -> F::Output {
    let mut future = pin!(future);
    loop {
        let mut sleep = pin!(clock.sleep(MILLISECONDS));
        let done = poll_fn(|context| {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Some(output));
            }
            sleep.as_mut().poll(context).map(|()| None)
        });
        match done.await {
            Some(output) => return output,
            None => nudge(),
        }
    }
}

/// The browser's timer, of a page or a worker.
#[cfg(target_arch = "wasm32")]
pub(super) struct Timer;

#[cfg(target_arch = "wasm32")]
impl Clock for Timer {
    async fn sleep(&self, milliseconds: u32) {
        use wasm_bindgen::prelude::{Closure, JsValue, wasm_bindgen};

        #[wasm_bindgen]
        extern "C" {
            #[wasm_bindgen(js_name = setTimeout)]
            fn set_timeout(callback: &JsValue, milliseconds: u32);
        }

        let (sender, receiver) = futures_channel::oneshot::channel();
        let callback = Closure::once_into_js(move || {
            // What is waited for may be there by then, and the receiver gone.
            let _ = sender.send(());
        });
        set_timeout(&callback, milliseconds);
        // The sender lives until the timer has fired.
        let _ = receiver.await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::task::{Context, Waker};

    use super::*;

    /// A device whose work ends at a time, in milliseconds, but which sees so only every 100 ms and at a
    /// submission; and a clock.
    #[derive(Default)]
    struct Fake {
        now: Cell<u32>,
        ends: u32,
        seen: Cell<bool>,
        submissions: Cell<u32>,
    }

    impl Fake {
        fn look(&self) {
            self.seen.set(self.now.get() >= self.ends);
        }

        fn submit(&self) {
            self.submissions.set(self.submissions.get() + 1);
            self.look();
        }

        /// When `future` is done.
        fn run<F: Future>(&self, future: F) -> u32 {
            let mut future = pin!(future);
            let mut context = Context::from_waker(Waker::noop());
            while future.as_mut().poll(&mut context).is_pending() {
                self.now.set(self.now.get() + 1);
                if self.now.get().is_multiple_of(100) {
                    self.look();
                }
            }
            self.now.get()
        }

        async fn map(&self) {
            poll_fn(|_| {
                if self.seen.get() {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            })
            .await;
        }
    }

    impl Clock for Fake {
        async fn sleep(&self, milliseconds: u32) {
            let until = self.now.get() + milliseconds;
            poll_fn(|_| {
                if self.now.get() >= until {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            })
            .await;
        }
    }

    #[test]
    fn a_map_costs_less_than_five_milliseconds() {
        for ends in 1..250 {
            let fake = || Fake {
                ends,
                ..Fake::default()
            };
            let device = fake();
            let done = device.run(nudged(device.map(), &device, || device.submit()));
            assert!(done - ends < 5, "ended at {ends}, there at {done}");
            assert!(device.submissions.get() <= ends / MILLISECONDS + 1);
            let alone = fake();
            assert_eq!(alone.run(alone.map()), ends.next_multiple_of(100));
        }
    }

    #[test]
    fn what_is_there_at_once_is_not_nudged() {
        let device = Fake::default();
        device.look();
        assert_eq!(
            device.run(nudged(device.map(), &device, || device.submit())),
            0
        );
        assert_eq!(device.submissions.get(), 0);
    }
}
