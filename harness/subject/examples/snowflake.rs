// An id generator for keyskew: it is told `next`, asks for the clock, and answers with a key.
fn main() {
    let node: i64 = std::env::args().nth(1).map_or(0, |n| n.parse().unwrap());
    let (mut last, mut seq) = (0, 0);
    let mut lines = std::io::stdin().lines().map(|line| line.unwrap());
    while lines.next().is_some() {
        println!("clock wall"); // in a real world SystemTime::now() would do
        let ms = lines.next().unwrap().parse::<i64>().unwrap() / 1000000;
        if ms < last || ms == last && seq == 4095 {
            println!("refuse the clock went back or the sequence is used up");
            continue;
        }
        seq = if ms == last { seq + 1 } else { 0 };
        last = ms;
        println!("key {}", (ms - 1288834974657) << 22 | node << 12 | seq);
    }
}
