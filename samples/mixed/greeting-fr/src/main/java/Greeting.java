/** The same name in two modules. */
public class Greeting {
    public static String text() {
        return "Bonjour";
    }
}
