package dev.testfleet.functional;

import org.w3c.dom.Element;
import org.w3c.dom.NodeList;
import org.xml.sax.SAXException;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;

import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.parsers.ParserConfigurationException;

/** The JUnit XML that a run wrote. */
final class JUnitXml {
    private JUnitXml() {}

    /** Every test case below {@code dir}, as {@code class > name} with its outcome in one word. */
    static Map<String, String> outcomes(Path dir) throws IOException {
        Map<String, String> outcomes = new TreeMap<>();
        if (!Files.exists(dir)) {
            return outcomes;
        }
        for (File file : GradleBuild.files(dir)) {
            if (file.getName().endsWith(".xml")) {
                addAll(file, outcomes);
            }
        }
        return outcomes;
    }

    /** How many test cases there are in all files below {@code dir}; equal names count each. */
    static int count(Path dir) throws IOException {
        int count = 0;
        for (File file : GradleBuild.files(dir)) {
            if (file.getName().endsWith(".xml")) {
                count += testCases(file).getLength();
            }
        }
        return count;
    }

    private static void addAll(File file, Map<String, String> outcomes) throws IOException {
        NodeList cases = testCases(file);
        for (int i = 0; i < cases.getLength(); i++) {
            Element testCase = (Element) cases.item(i);
            String name =
                    testCase.getAttribute("classname") + " > " + testCase.getAttribute("name");
            outcomes.merge(name, outcome(testCase), (first, second) -> first + "," + second);
        }
    }

    private static NodeList testCases(File file) throws IOException {
        try {
            return DocumentBuilderFactory.newInstance()
                    .newDocumentBuilder()
                    .parse(file)
                    .getElementsByTagName("testcase");
        } catch (SAXException | ParserConfigurationException e) {
            throw new IOException(file + " is no JUnit XML", e);
        }
    }

    private static String outcome(Element testCase) {
        for (String bad : new String[] {"failure", "error", "skipped"}) {
            if (testCase.getElementsByTagName(bad).getLength() > 0) {
                return bad;
            }
        }
        return "passed";
    }
}
