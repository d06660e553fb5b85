//! Inside a loop on `mio`, which polls edge-triggered.

use std::os::fd::AsRawFd;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use crate::support::{is_served_by, serve};

#[test]
fn a_loop_on_mio_serves_everything_and_sleeps_in_between() {
    is_served_by(|embedding, wakes| {
        let mut outer = Poll::new().unwrap();
        let descriptor = embedding.as_raw_fd();
        let registry = outer.registry();
        let watched = registry.register(&mut SourceFd(&descriptor), Token(0), Interest::READABLE);
        watched.unwrap();
        let mut events = Events::with_capacity(8);
        let mut stopped = false;
        while !stopped {
            outer.poll(&mut events, None).unwrap();
            wakes.add();
            // An edge is told once, so nothing may be left.
            while embedding.is_ready().unwrap() {
                stopped |= serve(&embedding);
            }
        }
    });
}
