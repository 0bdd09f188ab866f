package ottla;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * Runs named cases in one JVM and prints one line for each: "name ok" or "name FAILED reason". The Rust test reads
 * these lines and fails when a case failed or never ran.
 */
final class Suite {
    static final long DEADLINE_S = 120;

    private static final BufferedReader ANSWERS = new BufferedReader(new InputStreamReader(System.in));

    interface Case {
        void run() throws Exception;
    }

    private Suite() {}

    static void run(String name, Case body) {
        try {
            body.run();
            System.out.println(name + " ok");
        } catch (Throwable failure) {
            System.out.println(name + " FAILED " + oneLine(failure));
            failure.printStackTrace();
        }
    }

    /** Has the test stop the broker ("kill" or "restart") and returns when it is back. */
    static void broker(String order) throws Exception {
        System.out.println("broker " + order);
        check(ANSWERS.readLine() != null, "no answer from the test");
    }

    private static String oneLine(Throwable failure) {
        StringBuilder line = new StringBuilder(failure.toString());
        for (Throwable cause = failure.getCause(); cause != null; cause = cause.getCause()) {
            line.append(" <- ").append(cause);
        }
        return line.toString().replace('\n', ' ');
    }

    static void same(Object expected, Object found) {
        check(expected == null ? found == null : expected.equals(found), "expected " + expected + ", found " + found);
    }

    static void check(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }

    /** Polls a condition until it holds; fails after the deadline. */
    static void eventually(String what, Callable<Boolean> condition) throws Exception {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(DEADLINE_S);
        while (!condition.call()) {
            check(System.nanoTime() < end, "never: " + what);
            Thread.sleep(20);
        }
    }

    static <T> T get(java.util.concurrent.Future<T> future) throws Exception {
        try {
            return future.get(DEADLINE_S, TimeUnit.SECONDS);
        } catch (TimeoutException none) {
            throw new AssertionError("no answer within " + DEADLINE_S + " s", none);
        }
    }

    /** The exception a future fails with; its class must be the expected one. */
    static void failsWith(Class<? extends Throwable> expected, java.util.concurrent.Future<?> future) throws Exception {
        try {
            Object value = get(future);
            throw new AssertionError("expected " + expected.getSimpleName() + ", found " + value);
        } catch (ExecutionException failure) {
            check(expected.isInstance(failure.getCause()), "expected " + expected + ", found " + failure.getCause());
        }
    }
}
