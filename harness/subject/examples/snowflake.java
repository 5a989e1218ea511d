// An id generator for keyskew: it is told `next`, asks for the clock, and answers with a key.
class Snowflake {
    public static void main(String[] args) throws java.io.IOException {
        var in = new java.io.BufferedReader(new java.io.InputStreamReader(System.in));
        var out = new java.io.PrintStream(System.out, true); // each line goes out at once
        long node = args.length > 0 ? Long.parseLong(args[0]) : 0, last = 0, seq = 0;
        while (in.readLine() != null) {
            out.println("clock wall"); // in a real world System.currentTimeMillis() would do
            long ms = Long.parseLong(in.readLine()) / 1000000;
            if (ms < last || ms == last && seq == 4095) {
                out.println("refuse the clock went back or the sequence is used up");
                continue;
            }
            seq = ms == last ? seq + 1 : 0;
            last = ms;
            out.println("key " + ((ms - 1288834974657L) << 22 | node << 12 | seq));
        }
    }
}
