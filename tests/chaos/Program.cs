using IommuFd.Chaos.Linearizability;

if (args is not ["check", .. { Length: > 0 } files])
{
    Console.Error.WriteLine("usage: check FILE...: checks the histories of one context that its clients' processes recorded");
    return 2;
}

var result = new LinearizabilityChecker<ContextState>(new ContextSpecification()).Check(History.Read(files));
Console.Write(LinearizabilityReport.Write(result));
return result.Verdict == Verdict.Linearizable ? 0 : 1;
