mod harness;
mod laws;
mod migration;
mod rules;
mod scripts;
