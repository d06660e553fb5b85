//! A client at the door of a port: what it says first, and what it brings.

use std::os::fd::{AsFd, OwnedFd};

use messageport::Directory;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::SealFlags;

use super::pass;
use super::script::Script;
use crate::raw::{Client, MEMORY, SEALS, memory, send, socket};

/// Knocks as the script says.
pub(super) fn knock(directory: &Directory, script: &mut Script) {
    let client = Client::connect(directory, "port");
    let mut guest = Guest {
        packet: client.hello().to_vec(),
        client,
        brought: Vec::new(),
        packets: 16,
    };
    while guest.act(script).is_some() {}
}

struct Guest {
    client: Client,
    /// What it is about to say.
    packet: Vec<u8>,
    /// What it is about to bring.
    brought: Vec<OwnedFd>,
    /// How many packets it may still send: nobody need read any.
    packets: u32,
}

impl Guest {
    fn act(&mut self, script: &mut Script) -> Option<()> {
        match script.below(8)? {
            0 => {
                let at = usize::from(script.byte()?) % self.packet.len();
                self.packet[at] = script.byte()?;
            }
            1 => self.packet.resize(usize::from(script.byte()?) + 1, 0),
            2 => {
                let field = [8, 12, 16, 20, 24][usize::from(script.below(5)?)];
                let value = script.number(64 << 10)?.to_le_bytes();
                let field = self.packet.iter_mut().skip(field);
                field.zip(value).for_each(|(byte, value)| *byte = value);
            }
            3 => {
                let right = [
                    &self.client.memory,
                    &self.client.server_bell,
                    &self.client.client_bell,
                ];
                let right = right.map(|descriptor| descriptor.try_clone().expect("there is room"));
                self.brought.extend(right);
            }
            4 => self.brought.push(something(script)?),
            5 => self.speak(),
            6 => self.client.send_empty(u64::from(script.byte()?) + 1),
            _ => pass(),
        }
        self.brought.truncate(8);
        Some(())
    }

    fn speak(&mut self) {
        if self.packets > 0 {
            self.packets -= 1;
            let brought: Vec<_> = self.brought.iter().map(AsFd::as_fd).collect();
            send(&self.client.socket, &self.packet, &brought);
        }
    }
}

/// Something that might be taken for memory, or for a bell.
fn something(script: &mut Script) -> Option<OwnedFd> {
    let flags = EventfdFlags::CLOEXEC;
    Some(match script.below(9)? {
        0 => memory(MEMORY, SEALS),
        1 => memory(u64::from(script.word()?), SEALS),
        2 => memory(MEMORY, SEALS.difference(SealFlags::SHRINK)),
        3 => memory(MEMORY, SEALS | SealFlags::WRITE),
        4 => eventfd(0, flags | EventfdFlags::NONBLOCK).expect("there is room"),
        5 => eventfd(0, flags).expect("there is room"),
        6 => rustix::pipe::pipe().expect("there is room").1,
        7 => socket(),
        _ => std::fs::File::open("/proc/self/exe")
            .expect("it runs")
            .into(),
    })
}
