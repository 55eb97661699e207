using IommuFd.GrainInterfaces;
using IommuFd.Grains.Dispatch;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Dispatch;

// The table of drivers' requests: a request without a row would be refused, and one with the wrong rule would not be journaled.

public sealed class DriverDispatcherTests
{
    private static readonly ObjectId Id = new(1);

    // A request of each type. All change the context where they succeed, but for copies and accesses, which only look up memory.
    private static readonly (DriverRequest Request, bool ChangesOnSuccess)[] Expected =
    [
        (new TranslateRequest(Id, [], true), false),
        (new TakeFaultResponseRequest(Id, 1), false),
        (new HoldObjectRequest(Id, ObjectType.Any, "test"), true),
        (new RevokeDmaBufRequest("dma-buf"), true),
        (new DropHoldRequest(new HoldId(1)), true),
        (new BindDeviceRequest(new DeviceDescription { Name = "device" }), true),
        (new UnbindDeviceRequest(Id), true),
        (new AttachDeviceRequest(Id, Id), true),
        (new ReplaceDeviceRequest(Id, Id), true),
        (new DetachDeviceRequest(Id), true),
        (new ReportFaultsRequest(Id, []), true),
        (new ReportEventRequest(Id, []), true),
        (new CreateAccessRequest(true), true),
        (new DestroyAccessRequest(Id), true),
        (new AttachAccessRequest(Id, Id), true),
        (new ReplaceAccessRequest(Id, Id), true),
        (new DetachAccessRequest(Id), true),
        (new PinPagesRequest(Id, 0, 1, true), true),
        (new UnpinPagesRequest(Id, 1), true),
        (new AccessRwRequest(Id, 0, 1, true), false),
    ];

    [Fact]
    public void Every_type_of_request_has_a_row_and_a_rule_that_is_expected()
    {
        var types = typeof(DriverRequest).Assembly.GetTypes()
            .Where(type => type.IsSubclassOf(typeof(DriverRequest)) && !type.IsAbstract).Select(type => type.Name).Order().ToList();
        Expect.That(types.Count >= 15, $"Only {types.Count} types of request were found.");
        Expect.Sequence(types, DriverDispatcher.Requests.Select(type => type.Name).Order(), "the types of request that have a row");
        Expect.Sequence(types, Expected.Select(expected => expected.Request.GetType().Name).Order(), "the types of request whose rule is expected");
    }

    [Fact]
    public void A_request_changes_the_context_by_its_rows_rule()
    {
        foreach (var (request, changes) in Expected)
        {
            Expect.Equal(changes, DriverDispatcher.Changes(request, new DriverReply(Errno.None)), $"whether {request} that succeeded has changed something");

            // An event that finds no room counts as lost.
            Expect.Equal(request is ReportEventRequest, DriverDispatcher.Changes(request, new DriverReply(Errno.ENOMEM)), $"whether {request} that failed has changed something");
        }
    }

    [Fact]
    public void An_access_of_a_device_changes_the_context_where_its_answer_says_so()
    {
        foreach (var request in (DriverRequest[])[new TranslateRequest(Id, [], true), new TakeFaultResponseRequest(Id, 1)])
        {
            Expect.That(DriverDispatcher.Changes(request, new DriverReply(Errno.None, Dma: new DmaReply(1))), $"{request} that dirtied a page, or took a response, has changed nothing.");
            Expect.That(DriverDispatcher.Changes(request, new DriverReply(Errno.ENOENT, Dma: new DmaReply(0))), $"A fault of {request} has changed nothing.");
        }
    }

    [Fact]
    public void A_request_of_an_unknown_type_is_EOPNOTSUPP_and_one_by_no_driver_EBADF()
    {
        var context = new OpenContext();
        var driver = context.Driver();
        foreach (var (request, what) in new (DriverRequest?, string)[] { (new UnknownRequest(), "an unknown request"), (null, "no request") })
        {
            Expect.Equal((Errno.EOPNOTSUPP, DiagnosticReason.UnsupportedRequest), Answer(context.Ask(driver, request!)), $"what {what} is answered");
            Expect.That(!DriverDispatcher.Changes(request!, new DriverReply(Errno.None)), $"A context was changed by {what}.");
        }

        var byNoDriver = context.Ask(new ReferenceId(99), new CreateAccessRequest(false));
        Expect.Equal((Errno.EBADF, DiagnosticReason.ReferenceNotFound), Answer(byNoDriver), "what a request of no driver is answered");

        static (Errno, DiagnosticReason) Answer(DriverReply reply) => (reply.Errno, reply.Diagnostic!.Reason);
    }

    private sealed record UnknownRequest : DriverRequest;
}
