//! Runs every example as a user would, and looks at what it prints.

mod counting;
mod failing;
mod ports;
mod server;
mod small;
mod sockets;
mod sources;
