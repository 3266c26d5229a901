package dev.testfleet.harness.testng;

import dev.testfleet.harness.Found;

import org.testng.IConfigurable;
import org.testng.IConfigureCallBack;
import org.testng.IMethodInstance;
import org.testng.IMethodInterceptor;
import org.testng.ITestContext;
import org.testng.ITestListener;
import org.testng.ITestNGMethod;
import org.testng.ITestResult;

import java.util.ArrayList;
import java.util.List;

/** Takes down which tests TestNG is about to run, and lets none of them run, nor their set-up. */
final class Lister implements ITestListener, IMethodInterceptor, IConfigurable {
    private final String unitClass;
    private final Found found = new Found();

    Lister(String unitClass) {
        this.unitClass = unitClass;
    }

    Found found() {
        return found;
    }

    @Override
    public void onStart(ITestContext context) {
        for (ITestNGMethod method : context.getAllTestMethods()) {
            found.add("testng", TestNgMethods.name(method, unitClass));
        }
    }

    @Override
    public List<IMethodInstance> intercept(List<IMethodInstance> methods, ITestContext context) {
        return new ArrayList<>();
    }

    @Override
    public void run(IConfigureCallBack callBack, ITestResult result) {
        // Leaves out what it could call back.
    }

    @Override
    public void onTestStart(ITestResult result) {}

    @Override
    public void onTestSuccess(ITestResult result) {}

    @Override
    public void onTestFailure(ITestResult result) {}

    @Override
    public void onTestSkipped(ITestResult result) {}

    @Override
    public void onTestFailedButWithinSuccessPercentage(ITestResult result) {}

    @Override
    public void onFinish(ITestContext context) {}
}
