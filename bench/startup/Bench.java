// What the java row of the start-up class runs: recursion, a hash map, strings, an
// array sort. Short enough that starting the virtual machine is half of it.
import java.util.Arrays;
import java.util.HashMap;

public class Bench {
    static int fib(int n) {
        return n < 2 ? n : fib(n - 1) + fib(n - 2);
    }

    public static void main(String[] args) {
        long sum = fib(27);
        HashMap<Integer, Integer> map = new HashMap<>();
        for (int i = 0; i < 200000; i++) map.merge(i * 7919 % 5003, i, Integer::sum);
        for (int value : map.values()) sum = sum * 31 + value;
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < 20000; i++) text.append("item ").append(i % 97).append(',');
        for (String part : text.toString().split(",")) sum = sum * 17 + part.hashCode();
        int[] numbers = new int[100000];
        for (int i = 0; i < numbers.length; i++) numbers[i] = (int) (i * 2654435761L % 1000003);
        Arrays.sort(numbers);
        System.out.println("java " + (sum ^ numbers[777]));
    }
}
