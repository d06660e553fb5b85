//! How two ends of a link introduce themselves: the first packet, and the socket it travels on.
//!
//! For ports and remotes. The client sends one packet with all that the link is made of; the
//! server looks at it when it comes to that, possibly after the client has gone. What happens in
//! the memory that is handed over is not known here.

mod first;
mod rights;
mod peer;
mod packet;
mod accept;
mod introduce;
#[cfg(test)]
pub(crate) mod tests;

pub use packet::Refusal;

pub(crate) use accept::{Accepted, accept};
pub(crate) use first::Hello;
pub(crate) use introduce::{Greeting, IntroduceError, introduce, receive};
pub(crate) use packet::{Packet, send_refused};
pub(crate) use peer::Peer;
pub(crate) use rights::{DESCRIPTORS_MAX, peek, send, take_off};
