//! Inside a loop of `calloop`, which polls level-triggered.

use calloop::generic::Generic;
use calloop::{EventLoop, Interest, LoopSignal, Mode, PostAction};

use crate::support::{is_served_by, serve};

#[test]
fn a_calloop_serves_everything_and_sleeps_in_between() {
    is_served_by(|embedding, wakes| {
        let mut outer: EventLoop<'_, LoopSignal> = EventLoop::try_new().unwrap();
        let source = Generic::new(embedding, Interest::READ, Mode::Level);
        let inserted = outer
            .handle()
            .insert_source(source, move |_, embedding, signal| {
                wakes.add();
                if serve(embedding) {
                    signal.stop();
                }
                Ok(PostAction::Continue)
            });
        inserted.unwrap();
        let mut signal = outer.get_signal();
        outer.run(None, &mut signal, |_| {}).unwrap();
    });
}
