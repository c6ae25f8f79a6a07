# program: java: HotSpot's interpreter and both compilers, threads, exceptions, garbage collection
# packages: default-jdk-headless
# needs: java javac
# limit: 240
prepare() {
    cat >Main.java <<'END'
import java.util.*;
import java.util.concurrent.*;
public class Main {
  interface Shape { double area(); }
  record Circle(double r) implements Shape { public double area() { return 3 * r * r; } }
  record Square(double s) implements Shape { public double area() { return s * s; } }
  static int fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
  public static void main(String[] a) throws Exception {
    System.out.println(fib(30));
    Map<String, Integer> m = new TreeMap<>();
    for (int i = 0; i < 200000; i++) m.merge("k" + i % 1000, i, Integer::sum);
    System.out.println(m.get("k7") + " " + m.size());
    double t = 0; Shape[] s = new Shape[1000];
    for (int i = 0; i < s.length; i++) s[i] = i % 3 == 0 ? new Circle(i) : new Square(i);
    for (int k = 0; k < 2000; k++) for (Shape x : s) t += x.area();
    System.out.println(t);
    ExecutorService e = Executors.newFixedThreadPool(4); List<Future<Long>> f = new ArrayList<>();
    for (int i = 0; i < 8; i++) { final int n = i; f.add(e.submit(() -> { long x = n; for (int k = 0; k < 3000000; k++) x = x * 6364136223846793005L + k; return x; })); }
    long sum = 0; for (Future<Long> x : f) sum += x.get(); e.shutdown(); System.out.println(sum);
    int caught = 0; Object o = null; int[] arr = new int[5];
    for (int i = 0; i < 20000; i++) { try { if (i % 2 == 0) o.hashCode(); else arr[i] = 1; } catch (NullPointerException | ArrayIndexOutOfBoundsException x) { caught++; } }
    System.out.println(caught);
    List<byte[]> keep = new ArrayList<>(); for (int i = 0; i < 20000; i++) { byte[] b = new byte[10000]; if (i % 500 == 0) keep.add(b); }
    System.out.println(keep.size());
    StringBuilder b = new StringBuilder(); for (int i = 0; i < 100000; i++) b.append(i % 10); System.out.println(b.toString().hashCode());
    try { deep(0); } catch (StackOverflowError x) { System.out.println("overflow"); }
    System.exit(3);
  }
  static int deep(int n) { return deep(n + 1) + 1; }
}
END
    javac Main.java
}
run() {
    java -cp . Main
    echo "status $?"
}
