//! Hostile peers that do what a string of bytes says, against real ports and remotes: for the fuzzer, and for the tests that
//! replay what it has found.
//!
//! Everything happens on one thread and in one order: the peer acts until its script gives the other side a turn. What must
//! hold whatever the script says: nothing panics, every call ends, the loop goes to sleep, no descriptor is left, and
//! somebody who keeps to the rules is served afterwards.

mod attacker;
mod door;
mod pretender;
mod script;

use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::rc::Rc;

use messageport::{
    Directory, LocalPort, Message, Options, RemoteOptions, RemotePort, Reply, Responder,
};
use runloop::{Limit, Mode, ReturnAfter, RunLoop};

use crate::raw::{Client, RING, accept, pretend, receive_memory};
use attacker::{Attacker, Side, Turn};
use pretender::Pretender;
use script::Script;

/// What hostile peers meet: a port, somebody who speaks to it and keeps to the rules, and a name behind which there is a
/// hostile peer instead of a port.
#[derive(Debug)]
pub struct Targets {
    path: PathBuf,
    directory: Directory,
    _port: LocalPort,
    honest: RemotePort,
    /// Where remotes knock that meet a hostile peer.
    listener: OwnedFd,
    /// Requests that the port has not answered.
    deferred: Rc<RefCell<Vec<Responder>>>,
}

impl Targets {
    /// Everything of its own, in a directory of its own, on this thread.
    #[must_use]
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(format!("hostile-{}", std::process::id()));
        // Left behind by a process of that number that was killed.
        std::fs::remove_dir_all(&path).ok();
        std::fs::create_dir(&path).expect("there is room for names");
        let directory = Directory::open(&path).expect("it is ours");
        let deferred = Rc::new(RefCell::new(Vec::new()));
        let kept = Rc::clone(&deferred);
        let depth = Cell::new(0);
        let port = LocalPort::create_in(&directory, "port", move |message: Message| {
            serve(message, &kept, &depth)
        })
        .expect("the name is free");
        RunLoop::current()
            .add(&port, Mode::DEFAULT)
            .expect("it is valid");
        let honest = RemotePort::connect_in(&directory, "port").expect("it is there");
        let listener = pretend(&directory, "pretender");
        let targets = Self {
            path,
            directory,
            _port: port,
            honest,
            listener,
            deferred,
        };
        // Whatever is made once is made now.
        // What the loop makes once for each mode is made now.
        targets.deceive(&[0]);
        targets.expect_to_be_served();
        targets
    }

    /// A client that says something else than hello, or brings something else than it should.
    pub fn attack_door(&self, script: &[u8]) {
        let before = open_descriptors();
        door::knock(&self.directory, &mut Script::new(script));
        self.expect_all_is_well(before);
    }

    /// A client that was let in.
    pub fn attack_port(&self, script: &[u8]) {
        let before = open_descriptors();
        let mut script = Script::new(script);
        let client = Client::connect(&self.directory, "port");
        client.introduce();
        let (memory, bell) = (client.memory, client.server_bell);
        let mut attacker = Attacker::new(Side::Client, client.socket, memory, bell);
        loop {
            match attacker.act(&mut script) {
                Turn::Own => {}
                Turn::Theirs => {
                    pass();
                    self.answer_some();
                }
                Turn::Over => break,
            }
        }
        expect_to_sleep();
        attacker.leave();
        drop((attacker, client.client_bell));
        self.deferred.borrow_mut().clear();
        self.expect_all_is_well(before);
    }

    /// A port that is none, and a remote that takes it for one.
    pub fn attack_remote(&self, script: &[u8]) {
        let before = open_descriptors();
        self.deceive(script);
        self.expect_all_is_well(before);
    }

    fn deceive(&self, script: &[u8]) {
        let options = RemoteOptions::new().in_directory(&self.directory);
        let remote = options.ring_bytes(RING).connect("pretender");
        let remote = remote.expect("somebody listens");
        let socket = accept(&self.listener);
        let received = receive_memory(&socket);
        let [memory, _bell, theirs] = <[OwnedFd; 3]>::try_from(received).expect("three");
        let attacker = Attacker::new(Side::Server, socket, memory, theirs);
        let pretender = Pretender::new(attacker, Script::new(script));
        while pretender.is_called_by(&remote).is_some() {}
    }

    /// Answers the oldest requests that were deferred, if there are many.
    fn answer_some(&self) {
        let mut deferred = self.deferred.borrow_mut();
        let many = deferred.len().saturating_sub(3);
        let oldest: Vec<_> = deferred.drain(..many).collect();
        drop(deferred);
        for responder in oldest {
            responder.reply("late").ok();
        }
    }

    fn expect_to_be_served(&self) {
        let options = Options::new().in_mode(Mode::DEFAULT);
        let reply = self.honest.request_with(1, b"still here", options);
        assert_eq!(&reply.expect("it is served")[..], b"still here");
        assert!(self.honest.is_valid(), "and goes on being served");
    }

    /// Whatever has happened, others are served, and nothing is left of it.
    fn expect_all_is_well(&self, before: usize) {
        self.expect_to_be_served();
        for _ in 0..PASSES_MAX {
            if open_descriptors() == before {
                return;
            }
            pass();
        }
        panic!("{before} descriptors, then {}", open_descriptors());
    }
}

impl Default for Targets {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Targets {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.path).ok();
    }
}

/// What the port does with a message, by its number.
fn serve(mut message: Message, deferred: &RefCell<Vec<Responder>>, depth: &Cell<u32>) -> Reply {
    match message.id() % 8 {
        2 => deferred.borrow_mut().extend(message.defer()),
        // More than there is room for in the ring.
        3 => return vec![7; 100_000].into(),
        4 if depth.get() < 3 => {
            depth.set(depth.get() + 1);
            pass();
            depth.set(depth.get() - 1);
        }
        5 => drop(message.defer()),
        _ => return message.into_payload().into(),
    }
    Reply::empty()
}

/// A peer that does nothing more keeps the loop from sleeping for a bounded number of passes.
fn expect_to_sleep() {
    let performs = || RunLoop::current().statistics().performs;
    for _ in 0..PASSES_MAX {
        let before = performs();
        pass();
        if performs() == before {
            return;
        }
    }
    panic!("the loop does not come to rest");
}

/// Makes one pass over the default mode, which does not wait.
fn pass() {
    let outcome = RunLoop::current().run_in_mode(Mode::DEFAULT, Limit::Now, ReturnAfter::Limit);
    let _timed_out = outcome.expect("the loop is open");
}

fn open_descriptors() -> usize {
    let open = std::fs::read_dir("/proc/self/fd");
    open.expect("/proc is mounted").count()
}

/// More passes than any peer needs for what it may do.
const PASSES_MAX: u32 = 5_000;
