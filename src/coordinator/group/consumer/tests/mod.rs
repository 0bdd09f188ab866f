mod harness;
mod laws;
mod rules;
mod scripts;
