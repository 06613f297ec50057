//! x
use tutelage_tensor::{Device,Isa,bf16}; use tutelage_tensor::matmul::*; use std::time::Instant;
fn main(){ for th in [1,2]{ let d=Device::cpu(th,Isa::detect()).unwrap();
 for (m,n,k) in [(2048usize,640usize,384usize),(2048,384,384),(2048,1024,384),(2048,384,1024),(341,8192,384),(341,384,8192),(1024,384,2048),(384,384,2048),(2048,2048,768)] {
  let a:Vec<bf16>=vec![bf16::from_f32(0.01);m*k]; let b:Vec<bf16>=vec![bf16::from_f32(0.01);n*k];
  let t0=Instant::now(); let p=PackedRhs::from_rows_nk(&d,n,k,&b); let tp=t0.elapsed().as_secs_f64();
  let mut line=format!("{th}t {m}x{n}x{k} pack {:.2}ms ",tp*1e3);
  let mut o16=vec![bf16::ZERO;m*n]; let mut o32=vec![0f32;m*n];
  for mode in 0..3 { let mut ts=vec![]; for _ in 0..15 { let t=Instant::now(); let o=match mode {0=>Out::Bf16(&mut o16),1=>Out::F32(&mut o32),_=>Out::AddF32(&mut o32)}; matmul(&d,(m,n,k),Lhs::Bf16(&a),Rhs::Packed(&p),o); ts.push(t.elapsed().as_secs_f64()); } ts.sort_by(|a,b|a.total_cmp(b)); line+=&format!("{} {:.2} ",["bf16","f32","add"][mode],2.*(m*n*k) as f64/ts[7]/1e12); }
  println!("{line}");
 }}}
