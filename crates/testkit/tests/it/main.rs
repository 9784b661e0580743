//! Tests of the laboratory against real servers, of the engine on twins, and of the architecture of the workspace.

#[cfg(test)]
mod architecture;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod growth;
#[cfg(test)]
mod lab;
#[cfg(test)]
mod laboratory;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod references;
#[cfg(test)]
mod simulate;
#[cfg(test)]
mod twins;
