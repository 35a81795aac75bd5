"""Pages of the demo wiki: a fictional Dutch municipality, in xWiki's own syntax."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import dedent


@dataclass(frozen=True, slots=True)
class DemoPage:
    reference: str
    title: str
    content: str
    hours_ago: int = 24 * 90
    version: str = "1.1"
    author: str = "XWiki.alice"
    hidden: bool = False


def _page(reference: str, title: str, content: str, *, days_ago: float = 90, version: str = "1.1") -> DemoPage:
    return DemoPage(reference, title, dedent(content).strip() + "\n", int(days_ago * 24), version)


def _space(space: str, title: str, content: str) -> DemoPage:
    return _page(f"{space}.WebHome", title, content + "\n\n{{children/}}", days_ago=400)


PAGES: tuple[DemoPage, ...] = (
    _space("Main", "Wiki van de gemeente Lindewaard", "Welkom op de kenniswiki van de gemeente Lindewaard."),
    _space("Zaken", "Zaken", "Verslagen en notities bij lopende zaken, per jaar en zaaknummer."),
    _space("Zaken.2026", "2026", "Zaken die in 2026 zijn geopend."),
    _page(
        "Zaken.2026.Z2026-0148.WebHome",
        "Z2026-0148",
        """
        {{info}}Zaak Z2026-0148: dakkapel Kerkstraat 12. Behandelaar: team Bouwen.{{/info}}

        * [[Verslag vooroverleg>>doc:Zaken.2026.Z2026-0148.Vooroverleg]]
        * [[Situatie ter plaatse>>doc:Zaken.2026.Z2026-0148.Situatie]]
        """,
        days_ago=6,
        version="2.3",
    ),
    _page(
        "Zaken.2026.Z2026-0148.Vooroverleg",
        "Verslag vooroverleg Kerkstraat 12",
        """
        Aanvrager kiest voor een dakkapel van 4,20 m aan de voorzijde. Afgesproken: nieuwe gevelaanzichten vóór
        27 november, advies welstand daarna.

        == Aanwezig ==

        * mevrouw J. van den Berg (aanvrager)
        * de heer P. Smit (architect)
        * A. de Vries (vergunningverlening)

        == Afspraken ==

        |=Wat|=Wie|=Wanneer
        |Nieuwe gevelaanzichten|P. Smit|27 november
        |Advies [[welstand>>doc:Beleid.Ruimtelijke kwaliteit.Welstand.WebHome]]|A. de Vries|daarna
        |Constructieberekening|P. Smit|bij de aanvraag

        {{warning}}De dakkapel is breder dan de helft van het dakvlak; zie hoofdstuk 4 van de welstandsnota.{{/warning}}
        """,
        days_ago=0.1,
        version="3.1",
    ),
    _page(
        "Zaken.2026.Z2026-0148.Situatie",
        "Situatie ter plaatse Kerkstraat 12",
        """
        Hoekwoning uit 1934, buiten het beschermd stadsgezicht. Aan de //achterzijde// staat al een dakkapel
        (vergund in 2009). Foto's: {{gallery}}image:voorzijde.jpg image:achterzijde.jpg{{/gallery}}
        """,
        days_ago=6,
        version="1.2",
    ),
    _page(
        "Zaken.2026.Z2026-0201.Hoorzitting",
        "Verslag hoorzitting bezwaar kapvergunning Lindelaan",
        """
        Bezwaarmakers vragen om herplant op dezelfde plek. De commissie adviseert binnen zes weken.

        1. Opening en vaststelling ontvankelijkheid
        1. Toelichting door bezwaarmakers
        1. Reactie van het college
        """,
        days_ago=12,
    ),
    _space("Vergunningen", "Vergunningen", "Hoe wij vergunningen behandelen."),
    _space("Vergunningen.Bouwen", "Bouwen", "Bouwen, verbouwen en gebruiken."),
    _space("Vergunningen.Bouwen.Werkinstructies", "Werkinstructies", "Stap voor stap, per soort aanvraag."),
    _page(
        "Vergunningen.Bouwen.Werkinstructies.Dakkapellen.WebHome",
        "Werkinstructie dakkapellen",
        """
        Aan de achterzijde is een dakkapel meestal vergunningvrij. Controleer eerst of het pand in beschermd
        stadsgezicht ligt en welke regels het omgevingsplan stelt.

        (% class="box" %)
        (((
        **Let op**: aan de voorzijde geldt altijd een toets aan
        [[hoofdstuk 4>>doc:Beleid.Ruimtelijke kwaliteit.Welstand.Hoofdstuk 4]] van de welstandsnota.
        )))

        == Stappen ==

        1. Bepaal voorzijde, zijkant of achterzijde.
        1. Toets aan het omgevingsplan.
        1. Vraag zo nodig advies aan de commissie.

        {{velocity}}
        #set ($aantal = $xwiki.getSpaceDocsName('Vergunningen').size())
        Deze ruimte telt $aantal documenten.
        {{/velocity}}
        """,
        days_ago=3,
        version="7.4",
    ),
    _page(
        "Vergunningen.Bouwen.Werkinstructies.Aanbouw",
        "Werkinstructie aan- en uitbouwen",
        """
        Een aanbouw tot 4 meter diep aan de achterzijde is vaak vergunningvrij, mits niet hoger dan 30 cm boven de
        eerste verdiepingsvloer.
        """,
        days_ago=41,
        version="4.1",
    ),
    _page(
        "Vergunningen.Bouwen.Overleg.Vergaderrooster",
        "Vergaderrooster welstandscommissie 2026",
        """
        |=Datum|=Tijd|=Zaal
        |9 november 2026|14.00 uur|Raadzaal
        |23 november 2026|14.00 uur|Raadzaal
        |7 december 2026|13.30 uur|Trouwzaal
        """,
        days_ago=15,
        version="5.1",
    ),
    _space("Vergunningen.Sjablonen", "Sjablonen", "Teksten en formulieren."),
    _page(
        "Vergunningen.Sjablonen.Tekstblokken",
        "Tekstblokken besluit omgevingsvergunning",
        """
        Overwegingen, voorschriften en rechtsmiddelenclausule. Gebruik blok 3 bij afwijking van het omgevingsplan.

        {{code language="none"}}
        Tegen dit besluit kunt u binnen zes weken bezwaar maken.
        {{/code}}
        """,
        days_ago=80,
        version="12.2",
    ),
    _page(
        "Vergunningen.Sjablonen.Adviesformulier welstand",
        "Adviesformulier welstand: dakopbouw of dakterras",
        """
        Vul per onderdeel in of het plan voldoet: plaats, maat, kleur en materiaal.
        """,
        days_ago=33,
        version="2.1",
    ),
    _space("Beleid", "Beleid", "Vastgesteld beleid."),
    _space("Beleid.Ruimtelijke kwaliteit", "Ruimtelijke kwaliteit", "Welstand, beeldkwaliteit en erfgoed."),
    _space("Beleid.Ruimtelijke kwaliteit.Welstand", "Welstand", "De welstandsnota en wat daarbij hoort."),
    _page(
        "Beleid.Ruimtelijke kwaliteit.Welstand.Hoofdstuk 4",
        "Welstandsnota 2024, hoofdstuk 4: daken en dakopbouwen",
        """
        Een dakkapel is ondergeschikt aan het dakvlak: ten minste 0,5 m vrij aan elke zijde en onder de nok, en niet
        breder dan de helft van het dakvlak.

        === 4.1 Voorzijde ===

        Dakkapellen in één bouwblok liggen op één lijn en hebben dezelfde maat.{{footnote}}Raadsbesluit van
        14 maart 2024.{{/footnote}}

        === 4.2 Dakopbouwen ===

        ~**Niet~** toegestaan op mansardekappen.
        """,
        days_ago=42,
        version="3.1",
    ),
    _page(
        "Beleid.Ruimtelijke kwaliteit.Welstand.Dakkapellen voorzijde",
        "Welstandscriteria dakkapellen voorzijde",
        """
        Sneltoetscriteria voor een dakkapel aan de voorzijde. Voldoet het plan, dan is advies niet nodig.
        """,
        days_ago=120,
        version="1.4",
    ),
    _page(
        "Beleid.Ruimtelijke kwaliteit.Beeldkwaliteit.Kerkbuurt",
        "Beeldkwaliteitplan Kerkbuurt: daken",
        """
        Rode keramische pannen, zadeldaken met de nok evenwijdig aan de straat. Welstand toetst aan dit plan.
        """,
        days_ago=670,
    ),
    _space("Klantcontact", "Klantcontact", "Voor iedereen die vragen van inwoners beantwoordt."),
    _space("Klantcontact.Kennisbank", "Kennisbank", "Veelgestelde vragen."),
    _page(
        "Klantcontact.Kennisbank.Welstand en dakkapellen",
        "Veelgestelde vragen over welstand en dakkapellen",
        """
        **Heb ik een vergunning nodig?** Aan de achterzijde meestal niet. Doe de vergunningcheck op
        [[het Omgevingsloket>>https://omgevingswet.overheid.nl]].

        **Hoe lang duurt het?** Acht weken; met advies van welstand soms langer.
        """,
        days_ago=174,
        version="2.6",
    ),
    _page(
        r"Klantcontact.Kennisbank.Leges 2026 (vanaf 1\.1)",
        "Leges omgevingsvergunning 2026",
        """
        {{html}}<p>Bouwkosten tot € 50.000: <b>2,1%</b></p>{{/html}}

        Vooroverleg kost € 310 en wordt verrekend met de aanvraag.
        """,
        days_ago=55,
        version="2.1",
    ),
    _page(
        "Sandbox.WebHome",
        "Sandbox",
        "Een plek om te oefenen.",
        days_ago=300,
    ),
    _page(
        "Sandbox.Vreemde tekens.WebHome",
        '<script>alert(1)</script> & "co"',
        """
        <img src=x onerror=alert(1)> staat hier als gewone tekst.

        {{html}}<script>alert(document.domain)</script>{{/html}}
        """,
        days_ago=20,
    ),
    _page(
        "Sandbox.R&D + 100% innovatie",
        "R&D + 100% innovatie (pilot)",
        "Een bladzijde met lastige tekens in haar naam.",
        days_ago=21,
    ),
    DemoPage("Sandbox.Concept", "Concept collegevoorstel", "Nog niet gereed.\n", 24 * 8, hidden=True),
    _page(
        "Personeel.Beoordelingen.WebHome",
        "Beoordelingsgesprekken 2026",
        "Alleen voor leidinggevenden.",
        days_ago=30,
    ),
)
